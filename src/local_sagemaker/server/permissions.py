"""The roles that moto's IAM has, and SimulatePrincipalPolicy, which allows each of them everything.

The SDKs ask IAM for the ARN of a role's name. The SDK v3 calls SimulatePrincipalPolicy before each
training job.
"""

from moto.core.responses import ActionResult
from moto.iam.exceptions import NotFoundException
from moto.iam.models import IAMBackend, Role, iam_backends
from moto.iam.responses import IamResponse

from local_sagemaker.account import ACCOUNT, ROLE

_ROLES = (ROLE, "SageMakerRole")  # SageMakerRole is the role of the SDK's examples and tests
# SageMaker's console appends the time of creation, which differs in each account.
_CONSOLE_ROLE = "AmazonSageMaker-ExecutionRole-"
_TRUST = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
"Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"""


_get_role = IAMBackend.get_role


def get_role(self: IAMBackend, role_name: str) -> Role:
    """Return a role; one that SageMaker's console creates exists as soon as it is named.

    Raises: NotFoundException, which is NoSuchEntity on the wire.
    """
    try:
        return _get_role(self, role_name)
    except NotFoundException as error:
        if role_name.startswith(_CONSOLE_ROLE):
            return _create(self, role_name, "/service-role/")
        raise NotFoundException(
            f"The role with name {role_name} cannot be found. The local account has the roles"
            f" {', '.join(_ROLES)} and {_CONSOLE_ROLE}*; create others with CreateRole."
        ) from error


def simulate(self: IamResponse) -> ActionResult:
    """Return the response of SimulatePrincipalPolicy; NoSuchEntity if the role does not exist."""
    _, is_role, path = self._get_param("PolicySourceArn").partition(":role/")
    if is_role:
        self.backend.get_role(path.rpartition("/")[2])
    resources = self._get_param("ResourceArns") or ["*"]
    results = [
        {"EvalActionName": action, "EvalResourceName": resource, "EvalDecision": "allowed"}
        for action in self._get_param("ActionNames")
        for resource in resources
    ]
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def add_to_moto() -> None:
    """Register SimulatePrincipalPolicy with moto, and create the roles."""
    IamResponse.simulate_principal_policy = simulate  # type: ignore[attr-defined]
    IAMBackend.get_role = get_role  # type: ignore[method-assign]
    iam = iam_backends[ACCOUNT]["aws"]
    for name in _ROLES:
        if not any(role.name == name for role in iam.roles.values()):
            _create(iam, name, "/")


def _create(iam: IAMBackend, name: str, path: str) -> Role:
    return iam.create_role(
        role_name=name,
        assume_role_policy_document=_TRUST,
        path=path,
        permissions_boundary=None,
        description="A role of the local SageMaker service",
        tags=[],
        max_session_duration="3600",
    )
