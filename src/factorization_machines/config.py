"""What a training run is told: frozen, complete, and checked before it gets here."""

from dataclasses import dataclass

ADAM_EPSILON = 1e-8
# Of today's service, and of its containers of 2021.
DRAW_ORDERS = (("v", "w0", "w"), ("w", "w0", "v"))


@dataclass(frozen=True)
class Term:
    """One of the three terms of the score: bias, linear weights, factors."""

    lr: float
    wd: float
    init_method: str = "normal"
    init_sigma: float = 0.01
    init_scale: float | None = None
    init_value: float | None = None


@dataclass(frozen=True)
class Settings:
    """All that decides the result of a run, besides the data.

    `clip_gradient` and `rescale_grad` are None where they are not set.
    """

    feature_dim: int
    num_factors: int
    classifier: bool
    bias: Term
    linear: Term
    factors: Term
    epochs: int = 1
    mini_batch_size: int = 1000
    use_bias: bool = True
    use_linear: bool = True
    clip_gradient: float | None = None
    eps: float = ADAM_EPSILON
    rescale_grad: float | None = None
    seed: int = 0
    """Of the initial values and the orders of `shuffle`; 0 is the built-in's."""
    draw_order: tuple[str, ...] = DRAW_ORDERS[0]
    """The order in which the initial values are drawn."""
    publish_interval: int = 500
    optimizer: str = "adam"
    shuffle: bool = False
    """Whether each epoch has its mini-batches in another order, drawn from `seed`."""
    patience: int = 0
    """Epochs without a better test loss until training ends; 0 trains all epochs."""
