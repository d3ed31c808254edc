"""Models with the module names of TorchEasyRec, on embedded groups, written down naively from their formulas."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import orthogonal

Grouped = Mapping[str, Tensor]


class Transpose(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


class Dice(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(dim, eps=1e-8, affine=False)
        self.alpha = nn.Parameter(torch.randn(dim))

    def forward(self, x: Tensor) -> Tensor:
        share = torch.sigmoid(self.bn(x))
        return self.alpha * (1 - share) * x + share * x


class Perceptron(nn.Module):
    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.perceptron = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        return self.perceptron(x)


class Mlp(nn.Module):
    def __init__(
        self, width: int, units: Sequence[int], act: str = "relu", norm: str = "", is_3d: bool = False
    ) -> None:
        super().__init__()
        self.mlp = nn.ModuleList()
        for out in units:
            modules: list[nn.Module] = [nn.Linear(width, out, bias=norm != "bn")]
            if norm == "bn":
                batch_norm = nn.BatchNorm1d(out)
                modules += [Transpose(), batch_norm, Transpose()] if is_3d else [batch_norm]
            if norm == "ln":
                modules.append(nn.LayerNorm(out))
            modules.append({"relu": nn.ReLU, "prelu": nn.PReLU}[act]() if act != "dice" else Dice(out))
            self.mlp.append(Perceptron([*modules, nn.Dropout(0.5)]))
            width = out

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.mlp:
            x = layer(x)
        return x


class WideAndDeep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.deep_mlp, self.final_mlp, self.output_mlp = Mlp(8, [5, 4], "dice"), Mlp(5, [3], norm="bn"), nn.Linear(3, 1)

    def forward(self, x: Grouped) -> Tensor:
        wide = x["wide"].sum(1, keepdim=True)
        return self.output_mlp(self.final_mlp(torch.cat([wide, self.deep_mlp(x["deep"])], 1)))


class DeepFM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.deep_mlp, self.output_mlp = Mlp(8, [5, 4], norm="ln"), nn.Linear(4, 1)

    def forward(self, x: Grouped) -> Tensor:
        fields = x["deep"].view(-1, 2, 4)
        pairs = (fields[:, 0] * fields[:, 1]).sum(1, keepdim=True)
        return x["wide"].sum(1, keepdim=True) + pairs + self.output_mlp(self.deep_mlp(x["deep"]))


class MultiTower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.towers = nn.ModuleDict({"small": Mlp(4, [3], "prelu"), "deep": Mlp(8, [5, 4], "prelu", "bn")})
        self.final_mlp, self.output_mlp = Mlp(7, [4]), nn.Linear(4, 1)

    def forward(self, x: Grouped) -> Tensor:
        outputs = [self.towers["deep"](x["deep"]), self.towers["small"](x["small"])]
        return self.output_mlp(self.final_mlp(torch.cat(outputs, 1)))


class DLRM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense_mlp, self.final_mlp, self.output_mlp = Mlp(3, [5, 4]), Mlp(15, [4]), nn.Linear(4, 1)

    def forward(self, x: Grouped) -> Tensor:
        dense = self.dense_mlp(x["dense"])
        a, b = x["sparse"].split(4, 1)
        dots = [(one * two).sum(1) for one, two in ((dense, a), (dense, b), (a, b))]
        return self.output_mlp(self.final_mlp(torch.cat([torch.stack(dots, 1), dense, a, b], 1)))


class Compress(nn.Module):
    def __init__(self, fields: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(fields, out))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bfd,fo->bod", x, self.weight)


class Machine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 2))
        self.norm, self.mlp, self.feature_out_liner = nn.LayerNorm(6), Mlp(6, [5]), nn.Linear(5, 12)

    def forward(self, x: Tensor) -> Tensor:
        dots = torch.einsum("bfd,bgd,go->bfo", x, x, self.weight)
        return self.feature_out_liner(self.mlp(self.norm(dots.flatten(1)))).view(-1, 3, 4)


class WuKongLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lcb, self.fmb, self.norm, self.residual_projection = (
            Compress(3, 1),
            Machine(),
            nn.LayerNorm(4),
            Compress(3, 4),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(torch.cat([self.fmb(x), self.lcb(x)], 1) + self.residual_projection(x))


class WuKong(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense_mlp, self.final_mlp, self.output_mlp = Mlp(3, [4]), Mlp(16, [4]), nn.Linear(4, 1)
        self._wukong_layers = nn.ModuleList([WuKongLayer()])

    def forward(self, x: Grouped) -> Tensor:
        fields = torch.cat([self.dense_mlp(x["dense"]).unsqueeze(1), x["sparse"].view(-1, 2, 4)], 1)
        return self.output_mlp(self.final_mlp(self._wukong_layers[0](fields).flatten(1)))


class Cross(nn.Module):
    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.w = nn.ModuleList(nn.Linear(width, 1, bias=False) for _ in range(count))
        self.b = nn.ParameterList(nn.Parameter(torch.randn(width)) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        crossed = x
        for weight, bias in zip(self.w, self.b):
            crossed = weight(crossed) * x + bias + crossed
        return crossed


class DCNV1(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cross, self.deep, self.final_dnn = Cross(8, 2), Mlp(8, [5]), Mlp(13, [4])
        self.output_linear = nn.Linear(4, 1, bias=False)

    def forward(self, x: Grouped) -> Tensor:
        parts = [self.cross(x["deep"]), self.deep(x["deep"])]
        return self.output_linear(self.final_dnn(torch.cat(parts, 1)))


class LowRankCross(nn.Module):
    def __init__(self, width: int, count: int, rank: int) -> None:
        super().__init__()
        self.u_kernels = nn.ModuleList(nn.Linear(width, rank, bias=False) for _ in range(count))
        self.v_kernels = nn.ModuleList(nn.Linear(rank, width) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        crossed = x
        for u, v in zip(self.u_kernels, self.v_kernels):
            crossed = x * v(u(crossed)) + crossed
        return crossed


class DCNV2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.cross, self.deep, self.final = Mlp(8, [6]), LowRankCross(6, 2, 3), Mlp(6, [5]), Mlp(11, [4])
        self.output_mlp = nn.Linear(4, 1, bias=False)

    def forward(self, x: Grouped) -> Tensor:
        hidden = self.backbone(x["deep"])
        return self.output_mlp(self.final(torch.cat([self.cross(hidden), self.deep(hidden)], 1)))


class Cin(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cin_layers = nn.ModuleList([nn.Conv1d(4, 3, 1), nn.Conv1d(6, 2, 1)])

    def forward(self, x: Tensor) -> Tensor:
        hidden, sums = x, []
        for layer in self.cin_layers:
            hidden = layer(torch.einsum("bhd,bfd->bhfd", hidden, x).flatten(1, 2))
            sums.append(hidden.sum(2))
        return torch.cat(sums, 1)


class XDeepFM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.deep, self.cin, self.final, self.output_mlp = Mlp(8, [5]), Cin(), Mlp(10, [4]), nn.Linear(4, 1)

    def forward(self, x: Grouped) -> Tensor:
        parts = [self.cin(x["wide"].view(-1, 2, 2)), self.deep(x["deep"])]
        return self.output_mlp(self.final(torch.cat(parts, 1)))


class MaskBlock(nn.Module):
    def __init__(self, width: int, mask_width: int, hidden: int) -> None:
        super().__init__()
        self.mask_generator = nn.Sequential(nn.Linear(mask_width, mask_width), nn.ReLU(), nn.Linear(mask_width, width))
        self.ffn = nn.Sequential(nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.ReLU())

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return self.ffn(x * self.mask_generator(embedding))


class MaskNetModule(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln_emb, self.top_mlp = nn.LayerNorm(8), Mlp(10, [4])
        self.mask_blocks = nn.ModuleList(MaskBlock(8, 8, 5) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.top_mlp(torch.cat([block(self.ln_emb(x), x) for block in self.mask_blocks], 1))


class MaskNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mask_net_layer, self.output_linear = MaskNetModule(), nn.Linear(4, 1, bias=False)

    def forward(self, x: Grouped) -> Tensor:
        return self.output_linear(self.mask_net_layer(x["deep"]))


class TaskTower(nn.Module):
    def __init__(self, width: int, units: Sequence[int]) -> None:
        super().__init__()
        if units:
            self.tower_mlp = Mlp(width, units)
        self.linear = nn.Linear(units[-1] if units else width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.tower_mlp(x) if hasattr(self, "tower_mlp") else x)


class Mixture(nn.Module):
    def __init__(self, width: int, with_gate_mlp: bool) -> None:
        super().__init__()
        self.expert_mlps = nn.ModuleList(Mlp(width, [5, 4]) for _ in range(3))
        self.gate_mlps = nn.ModuleList(Mlp(width, [4]) for _ in range(2 if with_gate_mlp else 0))
        self.gate_finals = nn.ModuleList(nn.Linear(4 if with_gate_mlp else width, 3) for _ in range(2))

    def forward(self, x: Tensor) -> list[Tensor]:
        outputs = torch.stack([expert(x) for expert in self.expert_mlps], 1)
        gates = [gate(self.gate_mlps[t](x) if self.gate_mlps else x) for t, gate in enumerate(self.gate_finals)]
        return [torch.einsum("bn,bnd->bd", gate.softmax(1), outputs) for gate in gates]


class MMoE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mmoe, self._task_tower = Mixture(8, True), nn.ModuleList([TaskTower(4, [3]), TaskTower(4, [])])

    def forward(self, x: Grouped) -> list[Tensor]:
        return [tower(mixed) for tower, mixed in zip(self._task_tower, self.mmoe(x["deep"]))]


class SimpleMultiTask(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self._task_tower = nn.ModuleList([TaskTower(8, [3]), TaskTower(8, [])])

    def forward(self, x: Grouped) -> list[Tensor]:
        return [tower(x["deep"]) for tower in self._task_tower]


class DBMTL(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mask_net, self.bottom_mlp, self.mmoe = MaskNetModule(), Mlp(4, [6]), Mixture(6, False)
        self.task_mlps, self.relation_mlps = nn.ModuleDict({"ctr": Mlp(4, [3])}), nn.ModuleDict({"cvr": Mlp(7, [5])})
        self.task_outputs = nn.ModuleList([nn.Linear(3, 1), nn.Linear(5, 1)])

    def forward(self, x: Grouped) -> list[Tensor]:
        first, second = self.mmoe(self.bottom_mlp(self.mask_net(x["deep"])))
        first = self.task_mlps["ctr"](first)
        second = self.relation_mlps["cvr"](torch.cat([second, first], 1))
        return [self.task_outputs[0](first), self.task_outputs[1](second)]


class Rotate(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, 2))


class Rotations(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.base_rotate_layer, self.source_rotate_layer = orthogonal(Rotate(4)), orthogonal(Rotate(3))

    def forward(self, base: Tensor, source: Tensor) -> Tensor:
        directions = self.base_rotate_layer.weight
        return base + (base @ directions - source @ self.source_rotate_layer.weight) @ directions.T


class DC2VR(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bottom_mlp, self.mmoe = Mlp(8, [6]), Mixture(6, False)
        self.task_mlps = nn.ModuleDict({"ctr": Mlp(4, [3]), "cvr": Mlp(4, [4])})
        self.intervention = nn.ModuleDict({"cvr": Rotations()})
        self.task_outputs = nn.ModuleList([nn.Linear(3, 1), nn.Linear(4, 1)])

    def forward(self, x: Grouped) -> list[Tensor]:
        first, second = self.mmoe(self.bottom_mlp(x["deep"]))
        first, second = self.task_mlps["ctr"](first), self.task_mlps["cvr"](second)
        second = self.intervention["cvr"](second, first)
        return [self.task_outputs[0](first), self.task_outputs[1](second)]


class Extraction(nn.Module):
    def __init__(self, width: int, is_last: bool) -> None:
        super().__init__()
        self._shared_layers = nn.ModuleList([Mlp(width, [4])])
        self._task_layers = nn.ModuleList(nn.ModuleList(Mlp(width, [4]) for _ in range(2)) for _ in range(2))
        self._task_gates = nn.ModuleList(nn.Linear(width, 3) for _ in range(2))
        if not is_last:
            self._shared_gate = nn.Linear(width, 5)

    def forward(self, inputs: list[Tensor], shared: Tensor) -> tuple[list[Tensor], Tensor]:
        common = [layer(shared) for layer in self._shared_layers]
        own = [[layer(x) for layer in layers] for x, layers in zip(inputs, self._task_layers)]
        mixed = [
            torch.einsum("bn,nbd->bd", gate(x).softmax(1), torch.stack(experts + common))
            for gate, x, experts in zip(self._task_gates, inputs, own)
        ]
        if not hasattr(self, "_shared_gate"):
            return mixed, shared
        gate = self._shared_gate(shared).softmax(1)
        return mixed, torch.einsum("bn,nbd->bd", gate, torch.stack([*own[0], *own[1], *common]))


class PLE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self._extraction_nets = nn.ModuleList([Extraction(8, False), Extraction(4, True)])
        self._task_tower = nn.ModuleList([TaskTower(4, [3]), TaskTower(4, [])])

    def forward(self, x: Grouped) -> list[Tensor]:
        mixed, shared = [x["deep"]] * 2, x["deep"]
        for net in self._extraction_nets:
            mixed, shared = net(mixed, shared)
        return [tower(part) for tower, part in zip(self._task_tower, mixed)]


class GateUnit(nn.Module):
    def __init__(self, width: int, hidden: int, out: int) -> None:
        super().__init__()
        self.dense_layers = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, out), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.dense_layers(x)


class EPNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate_nu = GateUnit(11, 5, 8)


class PPNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = [(8, 6), (6, 4)] * 2
        self.linears = nn.ModuleList(nn.Linear(*pair) for pair in widths)
        self.activations = nn.ModuleList(nn.PReLU() for _ in widths)
        self.gate_nus = nn.ModuleList(GateUnit(12, out, out) for _, out in widths)


class PEPNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.epnet, self.ppnet = EPNet(), PPNet()
        self._task_tower = nn.ModuleList([TaskTower(4, [3]), TaskTower(4, [3]), TaskTower(4, []), TaskTower(4, [])])

    def forward(self, x: Grouped) -> list[Tensor]:
        main = x["all"] * self.epnet.gate_nu(torch.cat([x["domain"], x["all"]], 1))
        gate_input, outputs = torch.cat([x["uia"], x["all"]], 1), []
        for task in range(2):
            hidden = main
            for layer in (2 * task, 2 * task + 1):
                hidden = self.ppnet.activations[layer](self.ppnet.linears[layer](hidden))
                hidden = hidden * self.ppnet.gate_nus[layer](gate_input)
            outputs.append(torch.cat([self._task_tower[2 * task + domain](hidden) for domain in range(2)], 1))
        return outputs


class RocketLaunching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.share_mlp, self.booster_mlp, self.light_mlp = Mlp(8, [6]), Mlp(6, [5, 4]), Mlp(6, [4])
        self.booster_linear, self.light_linear = nn.Linear(4, 1), nn.Linear(4, 1)

    def forward(self, x: Grouped) -> Tensor:
        return self.light_linear(self.light_mlp(self.share_mlp(x["deep"])))


class DINEncoder(nn.Module):
    def __init__(self, dim: int, norm: str) -> None:
        super().__init__()
        self.mlp, self.linear = Mlp(4 * dim, [5, 3], "prelu", norm, is_3d=True), nn.Linear(3, 1)

    def forward(self, query: Tensor, x: Tensor, lengths: Tensor) -> Tensor:
        query = F.pad(query, (0, x.shape[2] - query.shape[1])).unsqueeze(1).expand_as(x)
        scores = self.linear(self.mlp(torch.cat([query, x, query - x, query * x], 2))).squeeze(2)
        scores = scores.masked_fill(torch.arange(x.shape[1]) >= lengths.unsqueeze(1), -math.inf)
        return torch.einsum("bl,bld->bd", scores.softmax(1), x)


class MultiWindowDINEncoder(nn.Module):
    def __init__(self, dim: int, windows: Sequence[int]) -> None:
        super().__init__()
        self.mlp, self.linear, self.active = Mlp(3 * dim, [4], is_3d=True), nn.Linear(4, 1), nn.PReLU()
        self.register_buffer("windows_len", torch.tensor(windows))
        self.register_buffer("cumsum_windows_len", torch.tensor([0, *windows[:-1]]).cumsum(0))

    def forward(self, query: Tensor, x: Tensor, lengths: Tensor) -> Tensor:
        query = F.pad(query, (0, x.shape[2] - query.shape[1]))
        wide = query.unsqueeze(1).expand_as(x)
        scores = self.active(self.linear(self.mlp(torch.cat([x, wide * x, wide], 2))))
        outputs = []
        for start, size in zip(self.cumsum_windows_len.tolist(), self.windows_len.tolist()):
            rows = []
            for row in range(len(x)):
                end = min(start + size, int(lengths[row]))
                total = (scores * x)[row, start:end].sum(0)
                rows.append(total / max(end - start, 1))
            outputs.append(torch.stack(rows))
        return torch.cat([*outputs, query], 1)


class SelfAttentionEncoder(nn.Module):
    def __init__(self, dim: int, width: int, heads: int) -> None:
        super().__init__()
        self._query, self._key, self._value = (nn.Linear(dim, width) for _ in range(3))
        self._multihead_attn = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, query: Tensor, x: Tensor, lengths: Tensor) -> Tensor:
        outputs = []
        for row, length in zip(x, lengths.tolist()):
            part = row[None, :length]
            mixed, _ = self._multihead_attn(self._query(part), self._key(part), self._value(part))
            outputs.append(mixed.mean(1)[0])
        return torch.stack(outputs)


class MultiTowerDIN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.towers, self.din_towers = nn.ModuleDict({"deep": Mlp(8, [5])}), nn.ModuleList([DINEncoder(4, "bn")])
        self.final_mlp, self.output_mlp = Mlp(9, [4]), nn.Linear(4, 1)

    def forward(self, x: Grouped) -> Tensor:
        interest = self.din_towers[0](x["seq.query"], x["seq.sequence"], x["seq.sequence_length"])
        return self.output_mlp(self.final_mlp(torch.cat([self.towers["deep"](x["deep"]), interest], 1)))


class TDM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.multiwindow_din, self.deep_mlp = MultiWindowDINEncoder(4, [1, 3]), Mlp(20, [4])
        self.output_mlp = nn.Linear(4, 1)

    def forward(self, x: Grouped) -> Tensor:
        interest = self.multiwindow_din(x["seq.query"], x["seq.sequence"], x["seq.sequence_length"])
        return self.output_mlp(self.deep_mlp(torch.cat([interest, x["deep"]], 1)))


class MatchTower(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp, self.output = Mlp(width, [5]), nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.output(self.mlp(x)), dim=1)


class DSSM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.user_tower, self.item_tower = MatchTower(8), MatchTower(4)

    def forward(self, x: Grouped) -> list[Tensor]:
        return [self.user_tower(x["user"]), self.item_tower(x["item"])]


class DSSMV2(DSSM):
    pass


class DAT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.user_tower, self.item_tower = MatchTower(12), MatchTower(8)

    def forward(self, x: Grouped) -> list[Tensor]:
        return [
            self.user_tower(torch.cat([x["user"], x["ua"]], 1)),
            self.item_tower(torch.cat([x["item"], x["ia"]], 1)),
        ]


class CapsuleLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bilinear_matrix = nn.Parameter(torch.randn(4, 6))


class InterestTower(nn.Module):
    """User tower of MIND for one routing iteration and equal couplings, so that capsules are means of elements."""

    def __init__(self) -> None:
        super().__init__()
        self.user_mlp, self.user_mlp_out = Mlp(8, [5]), nn.Linear(5, 3)
        self._hist_seq_mlp, self._hist_seq_mlp_out = Mlp(4, [5], norm="bn", is_3d=True), nn.Linear(5, 4, bias=False)
        self._capsule_layer, self._concat_mlp = CapsuleLayer(), Mlp(9, [5], "prelu", "bn", is_3d=True)
        self.output = nn.Linear(5, 4, bias=False)

    def forward(self, x: Grouped) -> Tensor:
        profile, lengths = self.user_mlp_out(self.user_mlp(x["user"])), x["seq.sequence_length"]
        projected = self._hist_seq_mlp_out(self._hist_seq_mlp(x["seq.sequence"])) @ self._capsule_layer.bilinear_matrix
        capsules = torch.zeros(6, 2, 6)
        mask = torch.zeros(6, 2, 1)
        for row, length in enumerate(lengths.tolist()):
            count = math.ceil(max(1, min(2, math.log2(length))))
            mean = projected[row, :length].sum(0) / count
            norm = mean.norm()
            capsules[row, :count] = mean * norm / (1 + norm**2)
            mask[row, :count] = 1
        joined = torch.cat([profile.unsqueeze(1).expand(-1, 2, -1), capsules], 2) * mask
        return F.normalize(self.output(self._concat_mlp(joined) * mask), dim=2)


class MIND(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.user_tower, self.item_tower = InterestTower(), MatchTower(4)

    def forward(self, x: Grouped) -> list[Tensor]:
        return [self.user_tower(x), self.item_tower(x["item"])]
