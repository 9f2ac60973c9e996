"""The configuration of a training run."""

from dataclasses import dataclass

ADAM_EPSILON = 1e-8
# Today's service, and the service's containers of 2021.
DRAW_ORDERS = (("v", "w0", "w"), ("w", "w0", "v"))


@dataclass(frozen=True)
class Term:
    """Configuration of one term of the score: bias, linear weights or factors."""

    lr: float
    wd: float
    init_method: str = "normal"
    init_sigma: float = 0.01
    init_scale: float | None = None
    init_value: float | None = None


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides the result of a run, besides the data."""

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
    """Factor of the loss gradients; None means 1 / mini_batch_size."""
    seed: int = 0
    """Of the initial values and of `shuffle`; 0 gives the initial values of the built-in."""
    draw_order: tuple[str, ...] = DRAW_ORDERS[0]
    """The order in which the initial values are drawn."""
    publish_interval: int = 500
    optimizer: str = "adam"
    """A name in `optimizers.OPTIMIZERS`."""
    shuffle: bool = False
    """Whether the order of the mini-batches changes from epoch to epoch."""
    fill_batches: bool = True
    """Whether empty rows of label 0 fill up the last mini-batch of an epoch, as in the built-in."""
    patience: int = 0
    """Epochs without a lower test loss after which training ends; 0 trains all epochs."""
