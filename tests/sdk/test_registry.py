"""registry_accounts.tsv, from which the image's names are made, equals the SDK's own table."""

import csv

import pytest

from support import sdk

pytestmark = pytest.mark.sdk


def table():
    with open(sdk.ROOT / "src/local_sagemaker/registry_accounts.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {
        row["region"]: f"{row['account']}.dkr.ecr.{row['region']}.{row['domain']}" for row in rows
    }


def looked_up(version, base, s3, *regions):
    if reason := sdk.missing(version, containers=False):
        pytest.skip(reason)
    run = sdk.run(base, s3, version, "regions.py", *regions)
    assert run.code == 0, run.story
    return run.result


def test_all_regions_of_the_sdk(tmp_path, s3):
    found = looked_up(2, tmp_path, s3)
    assert {region: f"{host}/factorization-machines:1" for region, host in table().items()} == found


def test_the_first_sdk_agrees(tmp_path, s3):
    names = {region: f"{host}/factorization-machines:latest" for region, host in table().items()}
    regions = ("us-east-1", "us-west-2", "eu-west-1", "cn-north-1", "us-gov-west-1")
    found = looked_up(1, tmp_path, s3, *regions)
    assert found == {region: names[region] for region in regions}
