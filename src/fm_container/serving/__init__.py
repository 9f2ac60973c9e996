"""An endpoint over a model artifact: /ping and /invocations. Never imports torch."""
