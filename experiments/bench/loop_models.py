"""Every model with plain layers and Python loops over fields, pairs, heads, experts and tasks.

A loop version uses the parameters of the model itself, so that their outputs can be compared before they are timed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, combinations
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

Grouped = dict[str, Tensor]
LoopModel = Callable[[Any, Grouped], list[Tensor]]
LOOP_MODELS: dict[str, LoopModel] = {}
"""Loop versions by model."""


def loop_model(function: LoopModel) -> LoopModel:
    """Register the loop version of the model that the function is named after."""
    LOOP_MODELS[function.__name__] = function
    return function


def plain(mlp: Any, x: Tensor) -> Tensor:
    """An MLP layer by layer; without layers, x itself."""
    return mlp.layers(x)  # type: ignore[no-any-return]


def fields(x: Tensor, count: int) -> Sequence[Tensor]:
    """The vectors of a row, (B, D) each."""
    return x.chunk(count, 1)


def mix(gate: Tensor, experts: Sequence[Tensor]) -> Tensor:
    """Weighted sum of experts."""
    return (torch.softmax(gate, 1).unsqueeze(1) @ torch.stack(list(experts), 1)).squeeze(1)


def tower(module: Any, x: Tensor) -> Tensor:
    """An optional MLP and a linear."""
    return module.linear(plain(module.mlp, x) if hasattr(module, "mlp") else x)  # type: ignore[no-any-return]


def towers(module: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    return [tower(child, x) for child, x in zip(module.children(), inputs, strict=True)]


def experts_of(module: Any, x: Tensor) -> list[Tensor]:
    experts = [plain(expert, x) for expert in module.experts]
    return [mix(tower(gate, x), experts) for gate in module.gates]


def bottom(module: Any, x: Tensor) -> list[Tensor]:
    x = plain(module.mlp, x)
    return [x] * module.num_task if module.experts is None else experts_of(module.experts, x)


@loop_model
def multi_tower(m: Any, g: Grouped) -> list[Tensor]:
    inputs = [plain(module, g[group]) for group, module in zip(m.groups, m.towers, strict=True)]
    return [m.output(plain(m.final, torch.cat(inputs, 1)))]


@loop_model
def wide_and_deep(m: Any, g: Grouped) -> list[Tensor]:
    return [g["wide"].sum(1, keepdim=True) + m.output(plain(m.deep, g["deep"]))]


@loop_model
def deepfm(m: Any, g: Grouped) -> list[Tensor]:
    vectors = fields(g[m.fm_group], m.fields)
    machine = sum((a * b).sum(1, keepdim=True) for a, b in combinations(vectors, 2))
    return [g["wide"].sum(1, keepdim=True) + machine + m.output(plain(m.deep, g["deep"]))]


@loop_model
def dlrm(m: Any, g: Grouped) -> list[Tensor]:
    vectors = [plain(m.dense_mlp, g["dense"]), *fields(g["sparse"], g["sparse"].shape[1] // m.dim)]
    dots = [(a * b).sum(1, keepdim=True) for a, b in combinations(vectors, 2)]
    return [m.output(plain(m.final, torch.cat([*dots, *vectors[: m.num_passed]], 1)))]


@loop_model
def xdeepfm(m: Any, g: Grouped) -> list[Tensor]:
    first = x = list(fields(g["wide"], m.fields))
    sums = []
    for layer in m.cin.layers:
        products = torch.stack([a * b for a in x for b in first], 2)  # (B, D, H * F)
        x = list(layer(products).unbind(2))  # H' of (B, D)
        sums += [vector.sum(1, keepdim=True) for vector in x]
    return [m.output(plain(m.final, torch.cat([*sums, plain(m.deep, g["deep"])], 1)))]


@loop_model
def dcn_v1(m: Any, g: Grouped) -> list[Tensor]:
    first = x = g[m.group]
    for weight, bias in zip(m.cross.weight, m.cross.bias, strict=True):
        x = first * (x @ weight).unsqueeze(1) + bias + x
    return [m.output(plain(m.final, torch.cat([x, plain(m.deep, first)], 1)))]


@loop_model
def dcn_v2(m: Any, g: Grouped) -> list[Tensor]:
    first = x = plain(m.backbone, g[m.group])
    for layer in m.cross.layers:
        x = first * layer(x) + x
    return [m.output(plain(m.final, torch.cat([x, plain(m.deep, first)], 1)))]


@loop_model
def gdcn(m: Any, g: Grouped) -> list[Tensor]:
    first = x = g[m.group]
    for layer, bias in zip(m.cross.layers, m.cross.bias, strict=True):
        weight, gate = layer.weight.chunk(2)
        x = first * (linear(x, weight) + bias) * torch.sigmoid(linear(x, gate)) + x
    return [m.output(torch.cat([x, plain(m.deep, first)], 1))]


@loop_model
def fibinet(m: Any, g: Grouped) -> list[Tensor]:
    vectors = fields(g[m.group], m.fields)
    squeezed = torch.stack([vector.mean(1) for vector in vectors], 1)  # (B, F)
    weights = torch.relu(m.weigh.excite(torch.relu(m.weigh.squeeze(squeezed))))
    weighted = [vector * weights[:, i : i + 1] for i, vector in enumerate(vectors)]
    pairs = [
        (x[i] @ module.weight[i]) * x[j]
        for module, x in ((m.plain_pairs, vectors), (m.weighed_pairs, weighted))
        for i, j in combinations(range(m.fields), 2)
    ]
    return [m.output(plain(m.deep, torch.cat(pairs, 1)))]


@loop_model
def finalmlp(m: Any, g: Grouped) -> list[Tensor]:
    x = g[m.group]
    streams = []
    for stream in (m.first, m.second):
        gate = 2 * torch.sigmoid(stream.gate(plain(stream.gate_mlp, g[stream.gate_group])))
        streams.append(plain(stream.mlp, x * gate))
    first, second = streams
    y = m.fusion.linear(torch.cat(streams, 1))
    heads = zip(first.chunk(m.fusion.head_num, 1), second.chunk(m.fusion.head_num, 1), m.fusion.weight, strict=True)
    for a, b, weight in heads:
        y = y + ((a @ weight) * b).sum(1, keepdim=True)
    return [y]


@loop_model
def autoint(m: Any, g: Grouped) -> list[Tensor]:
    x, attention = g[m.group], m.attention
    vectors = torch.stack(list(fields(x, m.fields)), 1)  # (B, F, D)
    for layer in attention.layers:
        query, key, value, residual = layer.weight.chunk(4)
        heads = []
        for q, k, v in zip(*(weight.chunk(attention.head_num) for weight in (query, key, value)), strict=True):
            scores = linear(vectors, q) @ linear(vectors, k).mT  # (B, F, F)
            heads.append(torch.softmax(scores, 2) @ linear(vectors, v))
        vectors = torch.relu(torch.cat(heads, 2) + linear(vectors, residual))
    return [m.output(vectors.flatten(1)) + m.deep[1](plain(m.deep[0], x))]


@loop_model
def mask_net(m: Any, g: Grouped) -> list[Tensor]:
    x, net = g[m.group], m.mask_net
    normed = net.norm(x)
    blocks = [
        torch.relu(block.norm(block.linear(normed * block.mask(plain(block.mask_hidden, x))))) for block in net.blocks
    ]
    return [m.output(plain(net.top, torch.cat(blocks, 1)))]


@loop_model
def wukong(m: Any, g: Grouped) -> list[Tensor]:
    vectors = list(fields(g["sparse"], m.fields))
    for layer in m.layers:

        def combined(weight: Tensor, inputs: Sequence[Tensor] = vectors) -> list[Tensor]:
            """Weighted sums of the vectors, one per row of the weight."""
            return [sum(w * x for w, x in zip(row, inputs, strict=True)) for row in weight]  # type: ignore[misc]

        combinations_ = combined(layer.combine.weight)
        dots = [(x * y).sum(1, keepdim=True) for x in vectors for y in combinations_]
        interactions = layer.fm_output(plain(layer.fm_mlp, layer.fm_norm(torch.cat(dots, 1))))
        residuals = vectors if isinstance(layer.residual, torch.nn.Identity) else combined(layer.residual.weight)
        interactions = interactions.chunk(layer.out_fields - len(layer.compress.weight), 1)
        layer_outputs = [*interactions, *combined(layer.compress.weight)]
        vectors = [layer.norm(a + b) for a, b in zip(layer_outputs, residuals, strict=True)]
    return [m.output(plain(m.final, torch.cat(vectors, 1)))]


@loop_model
def simple_multi_task(m: Any, g: Grouped) -> list[Tensor]:
    return towers(m.towers, bottom(m.bottom, g[m.group]))


@loop_model
def mmoe(m: Any, g: Grouped) -> list[Tensor]:
    return towers(m.towers, experts_of(m.experts, g[m.group]))


@loop_model
def ple(m: Any, g: Grouped) -> list[Tensor]:
    mixed, shared = [g[m.group]] * m.num_task, g[m.group]
    for level in m.levels:
        by_task = [
            [plain(expert, x) for expert in experts] for x, experts in zip(mixed, level.task_experts, strict=True)
        ]
        common = [plain(expert, shared) for expert in level.shared_experts]
        gates = zip(level.task_gates, mixed, by_task, strict=True)
        outputs = [mix(gate(x), [*own, *common]) for gate, x, own in gates]
        if level.shared_gate is not None:
            shared = mix(level.shared_gate(shared), [*chain.from_iterable(by_task), *common])
        mixed = outputs
    return towers(m.towers, mixed)


@loop_model
def dbmtl(m: Any, g: Grouped) -> list[Tensor]:
    related: list[Tensor] = []
    for x, own, relation, sources in zip(bottom(m.bottom, g[m.group]), m.own, m.relations, m.sources, strict=True):
        related.append(plain(relation, torch.cat([plain(own, x), *(related[i] for i in sources)], 1)))
    return [linear_(x) for linear_, x in zip(m.linears, related, strict=True)]


@loop_model
def dc2vr(m: Any, g: Grouped) -> list[Tensor]:
    outputs: list[Tensor] = []
    for index, (x, own, sources) in enumerate(zip(bottom(m.bottom, g[m.group]), m.own, m.sources, strict=True)):
        y = plain(own, x)
        if sources:
            y = m.interventions[str(index)](y, torch.cat([outputs[i] for i in sources], 1))
        outputs.append(y)
    return [linear_(y) for linear_, y in zip(m.linears, outputs, strict=True)]


@loop_model
def aitm(m: Any, g: Grouped) -> list[Tensor]:
    first, *later_tasks = (plain(own, x) for own, x in zip(m.own, bottom(m.bottom, g[m.group]), strict=True))
    states = [first]
    for transfer, own in zip(m.transfers, later_tasks, strict=True):
        parts = [torch.relu(transfer.info(states[-1])), own]
        scores = [(transfer.key(u) * transfer.query(u)).sum(1) * transfer.scale for u in parts]
        weights = torch.softmax(torch.stack(scores, 1), 1)
        states.append(sum(weights[:, i : i + 1] * transfer.value(u) for i, u in enumerate(parts)))  # type: ignore[arg-type]
    logits = [linear_(z) for linear_, z in zip(m.linears, states, strict=True)]
    probs = [torch.sigmoid(logit) for logit in logits]
    calibrator = sum((b - a).clamp(min=0) for a, b in zip(probs, probs[1:], strict=False))
    return [*logits, calibrator.squeeze(1)]  # type: ignore[union-attr]


@loop_model
def esmm(m: Any, g: Grouped) -> list[Tensor]:
    click, conversion = towers(m.towers, bottom(m.bottom, g[m.group]))
    both = torch.sigmoid(click) * torch.sigmoid(conversion)
    return [click, torch.log(both / (1 - both)), conversion]


@loop_model
def pepnet(m: Any, g: Grouped) -> list[Tensor]:
    def gate(module: Any, x: Tensor) -> Tensor:
        return module.gamma * torch.sigmoid(module.out(plain(module.hidden, x)))  # type: ignore[no-any-return]

    x, frozen = g["all"], g["all"].detach()
    gate_input = torch.cat([g["uia"], frozen], 1)
    x = x * gate(m.epnet, torch.cat([g["domain"], frozen], 1))
    hidden = []
    for ppnet in m.ppnets:
        h = x
        for layer, gated in zip(ppnet.layers, ppnet.gates, strict=True):
            h = plain(layer, h) * gate(gated, gate_input)
        hidden.append(h)
    return towers(m.towers[0], hidden)


@loop_model
def rocket_launching(m: Any, g: Grouped) -> list[Tensor]:
    """With the hint loss, without the feature distillation that the example has in training."""
    x = plain(m.share, g[m.group])
    light = m.light_output(plain(m.light, x.detach()))
    if not m.training:
        return [light]
    booster = m.booster_output(plain(m.booster, x))
    return [light, booster, (light - booster.detach()).square().squeeze(1)]


@loop_model
def custom(m: Any, g: Grouped) -> list[Tensor]:
    x = g[m.model.group]
    for block in m.model.blocks:
        x = x + block(x)
    return towers(m.model.towers, [x])
