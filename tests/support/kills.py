"""Kill the service at random moments under load, and compare what it acknowledged with what it has.

`PYTHONPATH=src:tests .venv/bin/python -m support.kills 100 FOLDER` does it a hundred times.
"""

import hashlib
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError

from support.service import BUCKET, Service, down, kill, up

_PART = 5 << 20


class Load:
    """One client that changes its own objects and records, and knows what was acknowledged."""

    def __init__(self, number: int, seed: int):
        self.number, self.random = number, random.Random(f"{seed}/{number}")
        self.objects: dict[str, tuple[str, dict[str, str]]] = {}  # key: hash of content, tags
        self.groups: set[str] = set()
        self.unsure: set[str] = set()  # names whose last request was not answered
        self.acknowledged = 0

    def run(self, s3: Any, sm: Any) -> None:
        """Send requests until one is not answered."""
        kinds = [self.put] * 6 + [self.delete] * 2 + [self.tag] * 2 + [self.multipart, self.record]
        while True:
            name = f"{self.number}/../{self.random.randrange(40)} é"
            self.unsure.add(name)
            try:
                self.random.choice(kinds)(s3, sm, name)
            except (BotoCoreError, OSError):
                return
            self.unsure.discard(name)
            self.acknowledged += 1

    def put(self, s3: Any, _: Any, key: str) -> None:
        body = self.random.randbytes(self.random.choice((0, 100, 10_000, 400_000)))
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        self.objects[key] = digest(body), {}

    def delete(self, s3: Any, _: Any, key: str) -> None:
        s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key}]})
        self.objects.pop(key, None)

    def tag(self, s3: Any, _: Any, key: str) -> None:
        if key in self.objects:
            tags = {"at": str(self.random.random())}
            entries = [{"Key": name, "Value": value} for name, value in tags.items()]
            s3.put_object_tagging(Bucket=BUCKET, Key=key, Tagging={"TagSet": entries})
            self.objects[key] = self.objects[key][0], tags

    def multipart(self, s3: Any, _: Any, key: str) -> None:
        where = {"Bucket": BUCKET, "Key": key}
        upload = s3.create_multipart_upload(**where)["UploadId"]
        bodies = [self.random.randbytes(size) for size in (_PART, 1000)]
        parts = [
            {
                "PartNumber": number,
                "ETag": s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=body)[
                    "ETag"
                ],
            }
            for number, body in enumerate(bodies, 1)
        ]
        s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
        self.objects[key] = digest(b"".join(bodies)), {}

    def record(self, _: Any, sm: Any, name: str) -> None:
        group = f"g{self.number}-{self.random.randrange(20)}"
        self.unsure.add(group)
        if group in self.groups:
            sm.delete_model_package_group(ModelPackageGroupName=group)
            self.groups.discard(group)
        else:
            sm.create_model_package_group(ModelPackageGroupName=group)
            self.groups.add(group)
        self.unsure.discard(group)

    def check(self, objects: dict[str, tuple[str, dict[str, str]]], groups: set[str]) -> list[str]:
        """Return what was lost or came back; what the service has counts from here on."""
        found = {key: value for key, value in objects.items() if key.startswith(f"{self.number}/")}
        own = {name for name in groups if name.startswith(f"g{self.number}-")}
        wrong = [
            f"{key}: {self.objects.get(key)} became {found.get(key)}"
            for key in self.objects.keys() | found.keys()
            if key not in self.unsure and self.objects.get(key) != found.get(key)
        ]
        wrong += [name for name in self.groups ^ own if name not in self.unsure]
        self.objects, self.groups = found, own
        self.unsure.clear()
        return wrong


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def content(service: Service) -> tuple[dict[str, tuple[str, dict[str, str]]], set[str]]:
    """Return all objects, with hash and tags, and the names of the groups."""
    s3, sm = service.client("s3"), service.client("sagemaker")
    objects = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for entry in page.get("Contents", ()):
            where = {"Bucket": BUCKET, "Key": entry["Key"]}
            tags = {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(**where)["TagSet"]}
            objects[entry["Key"]] = digest(s3.get_object(**where)["Body"].read()), tags
    pages = sm.get_paginator("list_model_package_groups").paginate()
    names = [g["ModelPackageGroupName"] for p in pages for g in p["ModelPackageGroupSummaryList"]]
    return objects, set(names)


def kills(state: Path, count: int, clients: int = 3, seed: int = 0) -> tuple[int, list[str]]:
    """Kill the service `count` times; return how much was acknowledged, and what went wrong."""
    moments, wrong = random.Random(seed), []
    loads = [Load(number, seed) for number in range(clients)]
    service = up(state)
    service.client("s3").create_bucket(Bucket=BUCKET)
    for _ in range(count):
        clients_of = [[service.client(name) for name in ("s3", "sagemaker")] for _ in loads]
        threads = [
            threading.Thread(target=load.run, args=pair)
            for load, pair in zip(loads, clients_of, strict=True)
        ]
        for thread in threads:
            thread.start()
        time.sleep(moments.uniform(0.2, 2.0))
        kill(service)
        for thread in threads:
            thread.join()
        service = up(state)
        objects, groups = content(service)
        wrong += [text for load in loads for text in load.check(objects, groups)]
    down(service)
    return sum(load.acknowledged for load in loads), wrong


if __name__ == "__main__":
    acknowledged, wrong = kills(Path(sys.argv[2]), int(sys.argv[1]))
    sys.stdout.write(f"{sys.argv[1]} kills, {acknowledged} acknowledged, {len(wrong)} wrong\n")
    sys.stdout.writelines(f"{text}\n" for text in wrong[:20])
