"""Other code for the SDK v2: the algorithm's own estimator, record_set, a tuner, analytics."""

import sys

import boto3
import numpy as np
import sagemaker
from sagemaker.analytics import TrainingJobAnalytics
from sagemaker.deserializers import JSONDeserializer
from sagemaker.serializers import JSONSerializer
from sagemaker.tuner import ContinuousParameter, HyperparameterTuner, IntegerParameter


class FeaturesSerializer(JSONSerializer):
    """The built-in's JSON."""

    def serialize(self, data):
        return super().serialize({"instances": [{"features": row.tolist()} for row in data]})


session, role = sagemaker.Session(), sagemaker.get_execution_role()
random = np.random.default_rng(0)
# Dense, in [0, 1), many zeros, as MNIST's pixels are.
x = np.maximum(random.random((500, 784)) - 0.5, 0).astype("float32")
y = (x[:, :392].sum(axis=1) > x[:, 392:].sum(axis=1)).astype("float32")
fm = sagemaker.FactorizationMachines(
    role=role,
    instance_count=1,
    instance_type="ml.c4.xlarge",
    num_factors=4,
    predictor_type="binary_classifier",
    epochs=5,
    sagemaker_session=session,
)
records = {name: fm.record_set(x, labels=y, channel=name) for name in ("train", "test")}
fm.fit([*records.values()], mini_batch_size=100)
curve = TrainingJobAnalytics(fm.latest_training_job.name).dataframe()
print("ANALYTICS", sorted(set(curve["metric_name"])))

wire = {"serializer": FeaturesSerializer(), "deserializer": JSONDeserializer()}
predictor = fm.deploy(initial_instance_count=1, instance_type="ml.c4.xlarge", wait=False, **wire)
sm = boto3.client("sagemaker")
sm.get_waiter("endpoint_in_service").wait(EndpointName=predictor.endpoint_name)
answer = predictor.predict(x[:10])
print("LABELS", [one["predicted_label"] for one in answer["predictions"]])
predictor.delete_endpoint()

tuner = HyperparameterTuner(
    fm,
    "test:binary_classification_accuracy",
    {"epochs": IntegerParameter(1, 5), "linear_lr": ContinuousParameter(1e-4, 1e-1, "Logarithmic")},
    objective_type="Maximize",
    base_tuning_job_name="others",
    max_jobs=3,
    max_parallel_jobs=2,
    early_stopping_type="Auto",
)
tuner.fit([*records.values()], include_cls_metadata=False, mini_batch_size=100)
table = tuner.analytics().dataframe()
best = table.loc[table["FinalObjectiveValue"].idxmax(), "TrainingJobName"]
print("BEST", best == tuner.best_training_job(), len(table), tuner.best_training_job())

fm.hyperparameters()
try:
    bad = sagemaker.estimator.Estimator(
        fm.training_image_uri(), role, 1, "ml.c4.xlarge", sagemaker_session=session
    )
    bad.set_hyperparameters(
        feature_dim=784, num_factors=0, predictor_type="regressor", mini_batch_sise=2
    )
    bad.fit({"train": records["train"].s3_data})
except sagemaker.exceptions.UnexpectedStatusException as error:
    print("REASON", *str(error).partition("Reason: ")[2].split())
sys.stdout.flush()
