"""The retail recommender as a pipeline, by the SDK v2: from transactions to predictions.

python pipeline_v2.py transactions.csv
"""

import pathlib

import sagemaker
from common import (
    GROUP,
    HYPERPARAMETERS,
    INPUT,
    LINES,
    OUTPUT,
    PREPARED,
    RECORDS,
    SCIKIT_LEARN,
    arguments,
    report,
    wait,
)
from sagemaker import image_uris
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.model import Model, ModelPackage
from sagemaker.model_metrics import MetricsSource, ModelMetrics
from sagemaker.processing import ProcessingInput, ProcessingOutput
from sagemaker.serializers import JSONSerializer
from sagemaker.sklearn.processing import SKLearnProcessor
from sagemaker.transformer import Transformer
from sagemaker.workflow.condition_step import ConditionStep
from sagemaker.workflow.conditions import ConditionLessThanOrEqualTo
from sagemaker.workflow.execution_variables import ExecutionVariables
from sagemaker.workflow.fail_step import FailStep
from sagemaker.workflow.functions import Join, JsonGet
from sagemaker.workflow.model_step import ModelStep
from sagemaker.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.properties import PropertyFile
from sagemaker.workflow.steps import ProcessingStep, TrainingStep, TransformStep

HERE = pathlib.Path(__file__).parent
EXECUTION = ExecutionVariables.PIPELINE_EXECUTION_ID


def output_uri(step, name):
    """Return the S3 URI of an output of a processing step."""
    return step.properties.ProcessingOutputConfig.Outputs[name].S3Output.S3Uri


def processing(processor, name, inputs, outputs, file):
    """Return a step that runs the script of its name, and the property file that it writes.

    Args:
        processor: runs the script.
        name: the step's.
        inputs: S3 URIs by name, which is the script's option for the folder.
        outputs: the names of outputs, which are folders below the script's --output.
        file: output and path of a JSON file, whose values other steps use.
    """
    options = [word for key in inputs for word in (f"--{key}", f"{INPUT}/{key}")]
    properties = PropertyFile(name, *file)
    step_args = processor.run(
        str(HERE / f"{name.lower()}.py"),
        inputs=[ProcessingInput(uri, f"{INPUT}/{key}", key) for key, uri in inputs.items()],
        outputs=[ProcessingOutput(f"{OUTPUT}/{key}", output_name=key) for key in outputs],
        arguments=[*options, "--output", OUTPUT],
    )
    return ProcessingStep(name, step_args, property_files=[properties]), properties


def create_pipeline(session, role):
    """Return the pipeline: prepare, train, score, evaluate, and register a model that is good."""
    data, epochs = ParameterString("Data"), ParameterInteger("Epochs", 20)
    max_rmse = ParameterFloat("MaxRmse", 200.0)
    image = image_uris.retrieve("factorization-machines", session.boto_region_name)
    bucket = session.default_bucket()
    processor = SKLearnProcessor(SCIKIT_LEARN, role, 1, "ml.m5.xlarge", sagemaker_session=session)
    prepare, features = processing(
        processor, "Prepare", {"input": data}, PREPARED, ("report", "features.json")
    )

    fm = Estimator(
        image,
        role,
        instance_count=1,
        instance_type="ml.m5.xlarge",
        output_path=f"s3://{bucket}/{GROUP}/models",
        sagemaker_session=session,
    )
    feature_dim = JsonGet("Prepare", features, "feature_dim")
    fm.set_hyperparameters(feature_dim=feature_dim, epochs=epochs, **HYPERPARAMETERS)
    channels = {name: TrainingInput(output_uri(prepare, name)) for name in ("train", "test")}
    train = TrainingStep("Train", fm.fit(channels))

    artifact = train.properties.ModelArtifacts.S3ModelArtifacts
    model = Model(image, artifact, role, sagemaker_session=session)
    create = ModelStep("Create", model.create("ml.m5.xlarge"))
    transformer = Transformer(
        create.properties.ModelName,
        instance_count=1,
        instance_type="ml.m5.xlarge",
        strategy="MultiRecord",
        assemble_with="Line",
        accept=LINES,
        output_path=Join("/", [f"s3://{bucket}/{GROUP}/scores", EXECUTION]),
        sagemaker_session=session,
    )
    batch = output_uri(prepare, "batch")
    score = TransformStep(
        "Score", transformer.transform(batch, content_type=RECORDS, split_type="RecordIO")
    )

    inputs = {
        "scores": score.properties.TransformOutput.S3OutputPath,
        "report": output_uri(prepare, "report"),
    }
    evaluate, evaluation = processing(
        processor, "Evaluate", inputs, ["evaluation"], ("evaluation", "evaluation.json")
    )
    uri = Join("/", [output_uri(evaluate, "evaluation"), "evaluation.json"])
    register = ModelStep(
        "Register",
        model.register(
            content_types=["application/json", RECORDS],
            response_types=["application/json"],
            inference_instances=["ml.m5.large"],
            transform_instances=["ml.m5.xlarge"],
            model_package_group_name=GROUP,
            approval_status="PendingManualApproval",
            model_metrics=ModelMetrics(MetricsSource("application/json", uri)),
        ),
    )
    rmse = JsonGet("Evaluate", evaluation, "regression_metrics.rmse.value")
    check = ConditionStep(
        "Check",
        conditions=[ConditionLessThanOrEqualTo(rmse, max_rmse)],
        if_steps=[register],
        else_steps=[FailStep("TooHigh", Join(" ", ["The rmse", rmse, "is above", max_rmse]))],
    )
    return Pipeline(
        GROUP,
        parameters=[data, epochs, max_rmse],
        steps=[prepare, train, create, score, evaluate, check],
        sagemaker_session=session,
    )


def predict(package, request, role):
    """Deploy a model package and return its scores for a request."""
    session = sagemaker.Session()
    model = ModelPackage(role, model_package_arn=package, sagemaker_session=session)
    model.deploy(1, "ml.m5.large")
    predictor = sagemaker.Predictor(
        model.endpoint_name, session, JSONSerializer(), JSONDeserializer()
    )
    try:
        return [answer["score"] for answer in predictor.predict(request)["predictions"]]
    finally:
        predictor.delete_endpoint()
        model.delete_model()


def main():
    """Run the pipeline on a CSV file, and use the model that it registers."""
    given = arguments(__doc__.splitlines()[0])
    session = PipelineSession()
    role = given.role or sagemaker.get_execution_role()
    data = sagemaker.Session().upload_data(given.csv, key_prefix=f"{GROUP}/transactions")
    pipeline = create_pipeline(session, role)
    pipeline.upsert(role)
    execution = pipeline.start({"Data": data, "Epochs": given.epochs, "MaxRmse": given.max_rmse})
    wait(execution)
    package, request, expected = report(execution.arn)
    for quantity, score in zip(expected, predict(package, request, role), strict=True):
        print(f"quantity {quantity:g}, predicted {score:.1f}")


if __name__ == "__main__":
    main()
