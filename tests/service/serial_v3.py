"""A pipeline model by the SDK v3's ModelBuilder. Arguments: image, two model.tar.gz, its name."""

import sys

from sagemaker.core.resources import Model
from sagemaker.core.shapes import ContainerDefinition
from sagemaker.serve.model_builder import ModelBuilder

image, *uris, name = sys.argv[1:]
role = "arn:aws:iam::123456789012:role/SageMakerExecutionRole"
models = [
    Model.create(
        model_name=f"{name}-{number}",
        primary_container=ContainerDefinition(image=image, model_data_url=uri),
        execution_role_arn=role,
    )
    for number, uri in enumerate(uris)
]
built = ModelBuilder(model=models, role_arn=role).build(model_name=name)
print("CONTAINERS", *(container.model_data_url for container in built.containers))
