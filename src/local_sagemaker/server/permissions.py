"""Adds SimulatePrincipalPolicy to moto's IAM, where each existing role is allowed everything.

The SDK v3 calls it before each training job.
"""

from moto.core.responses import ActionResult
from moto.iam.responses import IamResponse

# The trust policy of a role that runs jobs.
TRUST = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
"Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"""


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
    """Register SimulatePrincipalPolicy with moto."""
    IamResponse.simulate_principal_policy = simulate  # type: ignore[attr-defined]
