"""Dense optimizers compared with formulas and with torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from google.protobuf import text_format

from tzrec.optim.build import LearningRates, dense_optimizer
from tzrec.optim.dense import DenseOptimizer
from tzrec.optim.schedule import ExponentialDecayLR, ManualStepLR
from tzrec.protos import optimizer_pb2 as pb
from tzrec.protos.train_pb2 import TrainConfig

GRADS = [torch.tensor([1.0, -2.0]), torch.tensor([0.5, 0.25]), torch.tensor([-3.0, 0.0])]
START = torch.tensor([1.0, 2.0])


def build(text: str, **params: torch.Tensor) -> DenseOptimizer:
    train = TrainConfig(dense_optimizer=text_format.Parse(text, pb.DenseOptimizer()))
    return dense_optimizer(train, params.items(), lambda flag: flag)


def run(text: str) -> torch.Tensor:
    param = torch.nn.Parameter(START.clone())
    optimizer = build(text, w=param)
    for grad in GRADS:
        param.grad = grad.clone()
        optimizer.step()
    return param.detach()


def test_sgd_with_momentum_equals_formula() -> None:
    w, v = START.clone(), torch.zeros(2)
    for grad in GRADS:
        v = 0.9 * v + grad + 0.1 * w
        w = w - 0.01 * v
    torch.testing.assert_close(run("sgd_optimizer { lr: 0.01 weight_decay: 0.1 }"), w)


def test_adagrad_equals_formula() -> None:
    w, s = START.clone(), torch.full((2,), 0.5)
    for grad in GRADS:
        s = s + grad**2
        w = w - 0.1 * grad / (s.sqrt() + 1e-10)
    torch.testing.assert_close(run("adagrad_optimizer { lr: 0.1 initial_accumulator_value: 0.5 }"), w)


@pytest.mark.parametrize("fused", ["", "fused: false", "fused: true"])
@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_and_adamw_equal_formulas(name: str, fused: str) -> None:
    w, m, v = START.clone(), torch.zeros(2), torch.zeros(2)
    for t, grad in enumerate(GRADS, start=1):
        if name == "adamw":
            w = w * (1 - 0.1 * 0.01)
        else:
            grad = grad + 0.01 * w
        m = 0.8 * m + 0.2 * grad
        v = 0.99 * v + 0.01 * grad**2
        w = w - 0.1 * (m / (1 - 0.8**t)) / ((v / (1 - 0.99**t)).sqrt() + 1e-8)
    text = f"{name}_optimizer {{ lr: 0.1 beta1: 0.8 beta2: 0.99 weight_decay: 0.01 {fused} }}"
    torch.testing.assert_close(run(text), w)


def test_rmsprop_equals_formula() -> None:
    w, v = START.clone(), torch.zeros(2)
    for grad in GRADS:
        v = 0.99 * v + 0.01 * grad**2
        w = w - 0.1 * grad / (v.sqrt() + 1e-8)
    torch.testing.assert_close(run("rmsprop_optimizer { lr: 0.1 }"), w)


def test_adadelta_equals_formula() -> None:
    w, v, u = START.clone(), torch.zeros(2), torch.zeros(2)
    for grad in GRADS:
        v = 0.9 * v + 0.1 * grad**2
        delta = (u + 1e-6).sqrt() / (v + 1e-6).sqrt() * grad
        u = 0.9 * u + 0.1 * delta**2
        w = w - 0.5 * delta
    torch.testing.assert_close(run("adadelta_optimizer { lr: 0.5 rho: 0.9 }"), w)


def test_sgd_with_dampening_or_nesterov_equals_formula() -> None:
    w, v = START.clone(), torch.zeros(2)
    for t, grad in enumerate(GRADS):
        v = grad if t == 0 else 0.8 * v + 0.75 * grad  # the first direction is the gradient itself
        w = w - 0.1 * v
    torch.testing.assert_close(run("sgd_optimizer { lr: 0.1 momentum: 0.8 dampening: 0.25 }"), w)
    w, v = START.clone(), torch.zeros(2)
    for grad in GRADS:
        v = 0.8 * v + grad
        w = w - 0.1 * (grad + 0.8 * v)
    torch.testing.assert_close(run("sgd_optimizer { lr: 0.1 momentum: 0.8 nesterov: true }"), w)


def test_adam_with_amsgrad_equals_formula() -> None:
    w, m, v, top = START.clone(), torch.zeros(2), torch.zeros(2), torch.zeros(2)
    for t, grad in enumerate(GRADS, start=1):
        m, v = 0.9 * m + 0.1 * grad, 0.5 * v + 0.5 * grad**2
        top = torch.maximum(top, v)
        w = w - 0.1 * (m / (1 - 0.9**t)) / ((top / (1 - 0.5**t)).sqrt() + 1e-8)
    torch.testing.assert_close(run("adam_optimizer { lr: 0.1 beta2: 0.5 amsgrad: true }"), w)


FIELDS = "lr: 0.1 weight_decay: 0.2 "
CLASSES = [
    ("sgd", "momentum: 0.7 dampening: 0.1", torch.optim.SGD, {"momentum": 0.7, "dampening": 0.1}),
    ("adagrad", "initial_accumulator_value: 0.3 eps: 0.01", torch.optim.Adagrad, {"eps": 0.01}),
    ("adam", "beta1: 0.5 amsgrad: true eps: 0.01", torch.optim.Adam, {"betas": (0.5, 0.999), "amsgrad": True}),
    ("adamw", "beta2: 0.5 amsgrad: true eps: 0.01", torch.optim.AdamW, {"betas": (0.9, 0.5), "amsgrad": True}),
    ("adadelta", "rho: 0.8 eps: 0.01", torch.optim.Adadelta, {"rho": 0.8, "eps": 0.01}),
    ("rmsprop", "alpha: 0.8 eps: 0.01", torch.optim.RMSprop, {"alpha": 0.8, "eps": 0.01}),
]


@pytest.mark.parametrize(("name", "fields", "optimizer_class", "arguments"), CLASSES, ids=[case[0] for case in CLASSES])
def test_all_fields_are_passed_to_torch(
    name: str, fields: str, optimizer_class: type[torch.optim.Optimizer], arguments: dict[str, Any]
) -> None:
    param = torch.nn.Parameter(START.clone())
    if name == "adagrad":
        arguments = arguments | {"initial_accumulator_value": 0.3}
    if name.startswith("adam"):
        arguments = arguments | {"eps": 0.01}
    expected = optimizer_class([param], lr=0.1, weight_decay=0.2, **arguments)
    for grad in GRADS:
        param.grad = grad.clone()
        expected.step()
    torch.testing.assert_close(run(f"{name}_optimizer {{ {FIELDS} {fields} }}"), param.detach())


def test_parameter_belongs_to_first_part_that_matches_whole_name() -> None:
    a, b, c = (torch.nn.Parameter(torch.ones(1)) for _ in range(3))
    optimizer = build(
        """sgd_optimizer { lr: 1 momentum: 0 }
        part_optimizers { sgd_optimizer { lr: 2 momentum: 0 } regex_pattern: "tower.*" }
        part_optimizers { sgd_optimizer { lr: 4 momentum: 0 } regex_pattern: ".*bias" }""",
        **{"tower.bias": a, "my_tower.bias": b, "weight": c},
    )
    for param in (a, b, c):
        param.grad = torch.full((1,), 0.25)
    optimizer.step()
    assert [a.item(), b.item(), c.item()] == [0.5, 0.0, 0.75]


def test_part_without_parameters_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    part = 'part_optimizers { sgd_optimizer { lr: 2 } regex_pattern: "tower.weigth" }'
    build("sgd_optimizer { lr: 1 } " + part, **{"tower.weight": torch.nn.Parameter(torch.ones(1))})
    assert 'part_optimizers[0].regex_pattern "tower.weigth" matches no parameter' in caplog.text
    assert 'did you mean "tower.weight"?' in caplog.text


def test_part_without_schedule_has_that_of_config() -> None:
    halved = "exponential_decay_learning_rate { decay_size: 1 decay_factor: 0.5 }"
    a, b, c = (torch.nn.Parameter(torch.ones(1)) for _ in range(3))
    optimizer = build(
        f"""sgd_optimizer {{ lr: 1 }} {halved}
        part_optimizers {{ sgd_optimizer {{ lr: 2 }} constant_learning_rate {{}} regex_pattern: "a" }}
        part_optimizers {{ sgd_optimizer {{ lr: 4 }} regex_pattern: "b" }}""",
        a=a,
        b=b,
        c=c,
    )
    rates = LearningRates([(part[0], part[1]) for part in optimizer.parts])
    rates.set(steps=2, epochs=0)
    assert rates.last_lr() == [2.0, 1.0, 0.25]


@pytest.mark.parametrize("name", ["sgd", "adagrad", "adam", "adamw", "adadelta", "rmsprop"])
def test_restored_state_continues_training(name: str) -> None:
    text = f"{name}_optimizer {{ lr: 0.1 weight_decay: 0.3 }}"
    uninterrupted = torch.nn.Parameter(START.clone())
    old = build(text, w=uninterrupted)
    for grad in GRADS[:2]:
        uninterrupted.grad = grad.clone()
        old.step()
    resumed = torch.nn.Parameter(uninterrupted.detach().clone())
    new = build(text, w=resumed)
    assert new.state().keys() == old.state().keys()
    assert torch.equal(resumed, uninterrupted), "allocating state must not move the parameter"
    for key, value in new.state().items():
        value.copy_(old.state()[key])
    for optimizer, param in ((old, uninterrupted), (new, resumed)):
        param.grad = GRADS[2].clone()
        optimizer.step()
    assert torch.equal(resumed, uninterrupted)


def test_learning_rates_follow_schedules_and_zero_stays_zero() -> None:
    moving, frozen = (torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=lr) for lr in (1.0, 0.0))
    halved = ExponentialDecayLR(decay_size=1, decay_factor=0.5, by_epoch=True)
    rates = LearningRates([(moving, halved), (frozen, ManualStepLR([1], [9.0]))])
    rates.set(steps=100, epochs=2)
    assert rates.last_lr() == [0.25, 0.0]
