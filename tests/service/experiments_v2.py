"""Experiments with the SDK v2: a Run with a training job in it, load_run, list_runs, analytics."""

import json
import pathlib
import sys
import tempfile

import sagemaker
from sagemaker.analytics import ExperimentAnalytics
from sagemaker.estimator import Estimator
from sagemaker.experiments import Run, list_runs, load_run
from sagemaker.experiments.experiment import Experiment
from sagemaker.experiments.trial import _Trial

image, train, output = sys.argv[1:]
session = sagemaker.Session()
common = {"experiment_name": "SDK-runs", "sagemaker_session": session}
printed = {}
fm = Estimator(
    image,
    "arn:aws:iam::123456789012:role/SageMakerExecutionRole",
    1,
    "ml.c4.xlarge",
    output_path=output,
    sagemaker_session=session,
)
fm.set_hyperparameters(
    feature_dim=30, num_factors=4, predictor_type="binary_classifier", mini_batch_size=100, epochs=2
)
with tempfile.TemporaryDirectory() as folder, Run(run_name="first", **common) as run:
    run.log_parameter("lr", 0.1)
    run.log_parameters({"kind": "fm", "layers": 2})
    for step in range(25):
        run.log_metric("loss", 25.0 - step, step=step)
    file = pathlib.Path(folder) / "notes.txt"
    file.write_text("kept")
    run.log_file(str(file), name="notes", is_output=False)
    run.log_artifact("model", "s3://bucket/model.tar.gz", media_type="application/gzip")
    # What log_confusion_matrix calls; scikit-learn, which it needs, may be missing.
    matrix = {"type": "ConfusionMatrix", "confusionMatrix": [[0, 1], [0, 1]]}
    run._log_graph_artifact(matrix, "ConfusionMatrix", True, artifact_name="confusion")
    fm.fit({"train": train}, job_name="job-in-run", logs=False)

with Run(run_name="first", **common) as run:  # the same name loads it
    run.log_parameter("again", 1)
with load_run(run_name="first", **common) as run:
    component = run._trial_component
    printed["parameters"] = dict(component.parameters)
    printed["inputs"] = {name: a.value for name, a in component.input_artifacts.items()}
    printed["outputs"] = {name: a.value for name, a in component.output_artifacts.items()}
    printed["metrics"] = {m.metric_name: [m.count, m.last] for m in component.metrics}
with Run(run_name="second", **common) as run:
    run.log_parameter("lr", 0.2)
printed["runs"] = sorted(run.run_name for run in list_runs("SDK-runs", sagemaker_session=session))

fm.fit(
    {"train": train},
    job_name="job-with-config",
    logs=False,
    experiment_config={
        "ExperimentName": "sdk-runs",
        "TrialName": run.run_group_name,
        "TrialComponentDisplayName": "shown",
    },
)
table = ExperimentAnalytics("sdk-runs", sagemaker_session=session).dataframe()
rows = table.set_index("TrialComponentName")
printed["components"] = sorted(rows.index)
job = rows.loc["job-with-config-aws-training-job"]
printed["job"] = [job["DisplayName"], job["epochs"], job["SageMaker.InstanceType"]]
printed["job metrics"] = [name for name in table.columns if "progress - Last" in name]
best = ExperimentAnalytics(
    search_expression={"Filters": [{"Name": "Parameters.lr", "Operator": "Exists"}]},
    sort_by="parameters.lr",
    sort_order="Descending",
    sagemaker_session=session,
).dataframe()
printed["sorted"] = list(best["TrialComponentName"])

client = session.sagemaker_client
arn = client.describe_trial_component(TrialComponentName="sdk-runs-first")["TrialComponentArn"]
produced = client.list_associations(SourceArn=arn)["AssociationSummaries"]
printed["produced"] = [each["DestinationType"] for each in produced]

experiment = Experiment.create("sdk-experiment", description="d", sagemaker_session=session)
trial = _Trial.create("sdk-experiment", "sdk-trial", sagemaker_session=session)
trial.add_trial_component("job-with-config-aws-training-job")
printed["trials"] = [each.trial_name for each in experiment.list_trials()]
experiment._delete_all("--force")
printed["left"] = [e["ExperimentName"] for e in client.list_experiments()["ExperimentSummaries"]]
print("PRINTED", json.dumps(printed))
