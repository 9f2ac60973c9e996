"""What moto's IAM lacks: a role that is there may do all, since nothing here is forbidden.

The SDK v3 asks so before each training job.
"""

from moto.core.responses import ActionResult
from moto.iam.responses import IamResponse

# What AWS says of who may assume the role that runs a job.
TRUST = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
"Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"""


def simulate(self: IamResponse) -> ActionResult:
    """Answer SimulatePrincipalPolicy; a role that does not exist is a NoSuchEntity."""
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
    """Let moto answer SimulatePrincipalPolicy."""
    IamResponse.simulate_principal_policy = simulate  # type: ignore[attr-defined]
