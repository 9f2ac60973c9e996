"""The retail recommender as a pipeline, by the SDK v3: from transactions to predictions.

python pipeline_v3.py transactions.csv
"""

import json
import pathlib
import time

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
from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.model_metrics import MetricsSource, ModelMetrics
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.resources import Endpoint, EndpointConfig, Model
from sagemaker.core.shapes import (
    ContainerDefinition,
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
    ProductionVariant,
)
from sagemaker.core.transformer import Transformer
from sagemaker.core.workflow.conditions import ConditionLessThanOrEqualTo
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import ProcessingStep, TrainingStep, TransformStep
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, OutputDataConfig

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
    bucket = processor.sagemaker_session.default_bucket()
    sources = [
        ProcessingInput(
            input_name=key,
            s3_input=ProcessingS3Input(
                s3_uri=uri,
                s3_data_type="S3Prefix",
                s3_input_mode="File",
                local_path=f"{INPUT}/{key}",
            ),
        )
        for key, uri in inputs.items()
    ]
    targets = [
        ProcessingOutput(
            output_name=key,
            s3_output=ProcessingS3Output(
                s3_uri=Join("/", [f"s3://{bucket}/{GROUP}", EXECUTION, name, key]),
                s3_upload_mode="EndOfJob",
                local_path=f"{OUTPUT}/{key}",
            ),
        )
        for key in outputs
    ]
    step_args = processor.run(
        str(HERE / f"{name.lower()}.py"),
        inputs=sources,
        outputs=targets,
        arguments=[*options, "--output", OUTPUT],
    )
    return ProcessingStep(name, step_args, property_files=[properties]), properties


def create_pipeline(session, role):
    """Return the pipeline: prepare, train, score, evaluate, and register a model that is good."""
    data, epochs = ParameterString("Data"), ParameterInteger("Epochs", 20)
    max_rmse = ParameterFloat("MaxRmse", 200.0)
    region, bucket = session.boto_region_name, session.default_bucket()
    image = image_uris.retrieve("factorization-machines", region)
    processor = ScriptProcessor(
        role,
        image_uris.retrieve("sklearn", region, SCIKIT_LEARN, instance_type="ml.m5.xlarge"),
        ["python3"],
        instance_count=1,
        instance_type="ml.m5.xlarge",
        sagemaker_session=session,
    )
    prepare, features = processing(
        processor, "Prepare", {"input": data}, PREPARED, ("report", "features.json")
    )

    feature_dim = JsonGet("Prepare", features, "feature_dim")
    trainer = ModelTrainer(
        training_image=image,
        # A hyperparameter is a string, also one that a step or a parameter of the pipeline gives.
        hyperparameters={
            "feature_dim": feature_dim.to_string(),
            "epochs": epochs.to_string(),
            **HYPERPARAMETERS,
        },
        compute=Compute(instance_type="ml.m5.xlarge", instance_count=1),
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/{GROUP}/models"),
        role=role,
        sagemaker_session=session,
    )
    channels = [
        InputData(channel_name=name, data_source=output_uri(prepare, name))
        for name in ("train", "test")
    ]
    train = TrainingStep("Train", trainer.train(channels))

    builder = ModelBuilder(
        image_uri=image,
        s3_model_data_url=train.properties.ModelArtifacts.S3ModelArtifacts,
        role_arn=role,
        sagemaker_session=session,
    )
    create = ModelStep("Create", builder.build())
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
        builder.register(
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
    name = f"{GROUP}-{int(time.time())}"
    container = ContainerDefinition(model_package_name=package)
    model = Model.create(model_name=name, primary_container=container, execution_role_arn=role)
    variant = ProductionVariant(
        variant_name="AllTraffic",
        model_name=name,
        initial_instance_count=1,
        instance_type="ml.m5.large",
    )
    config = EndpointConfig.create(endpoint_config_name=name, production_variants=[variant])
    endpoint = Endpoint.create(endpoint_name=name, endpoint_config_name=name)
    try:
        endpoint.wait_for_status("InService")
        answer = endpoint.invoke(body=json.dumps(request), content_type="application/json")
        return [entry["score"] for entry in json.loads(answer.body.read())["predictions"]]
    finally:
        for resource in (endpoint, config, model):
            resource.delete()


def main():
    """Run the pipeline on a CSV file, and use the model that it registers."""
    given = arguments(__doc__.splitlines()[0])
    session = PipelineSession()
    role = given.role or get_execution_role()
    data = Session().upload_data(given.csv, key_prefix=f"{GROUP}/transactions")
    pipeline = create_pipeline(session, role)
    pipeline.upsert(role)
    execution = pipeline.start({"Data": data, "Epochs": given.epochs, "MaxRmse": given.max_rmse})
    wait(execution)
    package, request, expected = report(execution.arn)
    for quantity, score in zip(expected, predict(package, request, role), strict=True):
        print(f"quantity {quantity:g}, predicted {score:.1f}")


if __name__ == "__main__":
    main()
