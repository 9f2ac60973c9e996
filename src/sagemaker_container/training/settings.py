"""What the algorithm is told, from the job's hyperparameters."""

from factorization_machines.config import ADAM_EPSILON, Settings, Term
from sagemaker_container.contract.hyperparameters import Hyperparameters


def settings_of(params: Hyperparameters) -> Settings:
    """Return the settings of a training run, from checked hyperparameters."""

    def term(name: str) -> Term:
        return Term(
            lr=params.real(f"{name}_lr"),
            wd=params.real(f"{name}_wd"),
            init_method=params.text(f"{name}_init_method"),
            init_sigma=params.real(f"{name}_init_sigma"),
            init_scale=params.optional_real(f"{name}_init_scale"),
            init_value=params.optional_real(f"{name}_init_value"),
        )

    return Settings(
        feature_dim=params.integer("feature_dim"),
        num_factors=params.integer("num_factors"),
        classifier=params.text("predictor_type") == "binary_classifier",
        bias=term("bias"),
        linear=term("linear"),
        factors=term("factors"),
        epochs=params.integer("epochs"),
        mini_batch_size=params.integer("mini_batch_size"),
        use_bias=params.flag("use_bias"),
        use_linear=params.flag("use_linear"),
        clip_gradient=params.optional_real("clip_gradient"),
        eps=params.optional_real("eps") or ADAM_EPSILON,
        rescale_grad=params.optional_real("rescale_grad"),
        seed=params.integer("_seed"),
        draw_order=tuple(params.text("_draw_order").split(",")),
        publish_interval=params.integer("batch_metrics_publish_interval"),
        optimizer=params.text("_optimizer"),
        shuffle=params.flag("_shuffle"),
        patience=params.integer("_early_stopping_patience"),
    )
