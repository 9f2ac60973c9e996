"""The configuration of training, from the job's hyperparameters."""

from factorization_machines.config import ADAM_EPSILON, Term, TrainingConfig
from sagemaker_container.contract.hyperparameters import Hyperparameters


def training_config(hyperparameters: Hyperparameters) -> TrainingConfig:
    """Return the configuration of a training run."""
    values = hyperparameters

    def term(name: str) -> Term:
        return Term(
            lr=values.real(f"{name}_lr"),
            wd=values.real(f"{name}_wd"),
            init_method=values.text(f"{name}_init_method"),
            init_sigma=values.real(f"{name}_init_sigma"),
            init_scale=values.optional_real(f"{name}_init_scale"),
            init_value=values.optional_real(f"{name}_init_value"),
        )

    return TrainingConfig(
        feature_dim=values.integer("feature_dim"),
        num_factors=values.integer("num_factors"),
        classifier=values.text("predictor_type") == "binary_classifier",
        bias=term("bias"),
        linear=term("linear"),
        factors=term("factors"),
        epochs=values.integer("epochs"),
        mini_batch_size=values.integer("mini_batch_size"),
        use_bias=values.flag("use_bias"),
        use_linear=values.flag("use_linear"),
        clip_gradient=values.optional_real("clip_gradient"),
        eps=values.optional_real("eps") or ADAM_EPSILON,
        rescale_grad=values.optional_real("rescale_grad"),
        seed=values.integer("_seed"),
        draw_order=tuple(values.text("_draw_order").split(",")),
        publish_interval=values.integer("batch_metrics_publish_interval"),
        optimizer=values.text("_optimizer"),
        shuffle=values.flag("_shuffle"),
        patience=values.integer("_early_stopping_patience"),
    )
