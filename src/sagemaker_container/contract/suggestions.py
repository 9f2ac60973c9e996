"""Suggests hyperparameters for a name that the algorithm does not have."""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence

_RATES = ("bias_lr", "linear_lr", "factors_lr")
_DECAYS = ("bias_wd", "linear_wd", "factors_wd")
_SIGMAS = ("bias_init_sigma", "linear_init_sigma", "factors_init_sigma")
_METHODS = ("bias_init_method", "linear_init_method", "factors_init_method")
_SCALES = ("bias_init_scale", "linear_init_scale", "factors_init_scale")
# What other libraries call them, without case and punctuation.
_SYNONYMS: Mapping[Sequence[str], str] = {
    _RATES: "lr learningrate learnrate eta stepsize initlearnrate initiallearningrate lrall rate",
    _DECAYS: "wd weightdecay l2 reg regparam regularization regularisation regular lambda alpha "
    "l2reg l2regularization l2regw l2regv regall decay itemalpha useralpha lambda1 lambda2 l1",
    ("num_factors",): "factors k rank nfactors numfactor factorsize nocomponents ncomponents "
    "numcomponents latentdim latentfactors embeddim embeddingdim embeddingsize numlatentfactors "
    "hiddendim factordim",
    ("mini_batch_size",): "batchsize batch bs minibatch trainbatchsize perdevicebatchsize",
    ("epochs",): "niter numiter numepochs nepochs maxepochs maxiter iterations iter niterations "
    "numiterations numround numrounds nestimators passes trainepochs",
    ("feature_dim",): "nfeatures numfeatures inputdim fielddims numfeature featuresize dims "
    "features dimension featuredimension inputsize vocabsize",
    ("feature_dim", "num_factors"): "dim",
    ("predictor_type",): "loss objective task lossfunction predictiontype problemtype modeltype "
    "criterion predictor lossfn",
    ("_optimizer",): "optimizer opt optim solver method optimizertype trainer",
    ("_seed",): "seed randomstate randomseed rngseed manualseed",
    _SIGMAS: "initstd initstdev initstddev sigma initsigma stdev initvariance std initscalesigma",
    _METHODS: "init initmethod initializer initialization kernelinitializer weightinit",
    _SCALES: "initscale initrange",
    ("clip_gradient",): "clip clipnorm clipvalue gradclip gradientclip gradientclipping "
    "maxgradnorm clipgrad gradientclipval",
    ("eps",): "epsilon adamepsilon optimizerepsilon",
    ("use_bias",): "bias fitintercept intercept k0 biased usebiases",
    ("use_linear",): "linear fitlinear k1 useweights",
    ("_shuffle",): "shuffle shuffletraining shuffledata",
    ("_num_threads",): "nthread nthreads numthreads threads njobs numworkers workers",
    ("_device",): "device usegpu gpu gpus ngpus numgpus cuda",
    ("_early_stopping_patience",): "patience earlystopping earlystoppingrounds earlystop "
    "stopwindow earlystoppingpatience nonimprovement niternochange tol",
    ("_checkpoint_interval",): "checkpointinterval checkpoint savesteps saveinterval",
    ("_log_level",): "verbose verbosity loglevel silent",
    ("batch_metrics_publish_interval",): "loginterval logsteps loggingsteps",
}
_TERMS: Mapping[str, str] = {
    **dict.fromkeys(("bias", "intercept", "w0"), "bias"),
    **dict.fromkeys(("linear", "weights", "w"), "linear"),
    **dict.fromkeys(("factors", "factor", "latent", "embedding", "v"), "factors"),
}
_CUTOFF = 0.75  # least similarity of a misspelt name


def unknown_name(name: str, names: Collection[str]) -> str:
    """Return the problem of a name that is not among `names`, with the names that may be meant."""
    if meant := suggestions(name, names):
        hint = f"did you mean {' or '.join(map(repr, meant))}?"
    else:
        public = [each for each in names if not each.startswith("_")]
        of_terms = re.compile(f"^({'|'.join(set(_TERMS.values()))})_")
        folded = dict.fromkeys(of_terms.sub("{bias,linear,factors}_", each) for each in public)
        hint = f"the hyperparameters are {', '.join(folded)}"
    return f"{name[:80]!r} is not a hyperparameter of this algorithm; {hint}"


def suggestions(name: str, names: Collection[str]) -> Sequence[str]:
    """Return the hyperparameters among `names` that may be meant by `name`; at best one."""
    targets = {synonym: t for t, text in _SYNONYMS.items() for synonym in text.split()}
    # The built-in's scales of all rates and decays take one value only.
    targets |= {_plain(n): (n,) for n in names if n not in ("_learning_rate", "_wd")}
    plain = _plain(name)
    for word, term in _TERMS.items():
        for rest in (plain.removeprefix(word), plain.removesuffix(word)):
            of_term = [t for t in targets.get(rest, ()) if t.startswith(term)]
            if rest != plain and of_term:
                return of_term
    close = [plain] if plain in targets else difflib.get_close_matches(plain, targets, 1, _CUTOFF)
    return targets[close[0]] if close else ()


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())
