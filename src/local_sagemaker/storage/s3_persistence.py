"""What is in S3, kept as files, so that a restart finds it: moto itself holds it in memory."""

import hashlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

_EVERY = 2.0  # seconds between a change and its being saved, at most


class ObjectState:
    """Saves buckets and objects a moment after they change, and puts them back at the start."""

    def __init__(self, folder: Path, s3: Any):
        """Take the folder for the files, and a boto3 client of S3."""
        self._folder, self._s3 = folder, s3
        self._dirty, self._ended = threading.Event(), threading.Event()
        self._saved: dict[tuple[str, str], str] = {}  # (bucket, key): ETag
        self._thread = threading.Thread(target=self._save_soon, daemon=True)

    def restore(self) -> list[str]:
        """Put back what the folder holds; return what the user should know of it."""
        count = 0
        for bucket in sorted(path for path in self._folder.glob("*") if path.is_dir()):
            self._s3.create_bucket(Bucket=bucket.name)
            for note in sorted(bucket.glob("*.json")):
                about = json.loads(note.read_text())
                with note.with_suffix(".data").open("rb") as data:
                    answer = self._s3.put_object(
                        Bucket=bucket.name,
                        Key=about["key"],
                        Body=data,
                        ContentType=about["type"],
                        Metadata=about["metadata"],
                    )
                self._saved[bucket.name, about["key"]] = answer["ETag"]
                count += 1
        return [f"S3 has {count} objects again"] if count else []

    def start(self) -> None:
        """Save changes from now on."""
        self._thread.start()

    def note(self, _: object) -> None:
        """Note that something may have changed."""
        self._dirty.set()

    def stop(self) -> None:
        """Save what changed last."""
        self._ended.set()
        self._dirty.set()
        self._thread.join()
        self._save()

    def _save_soon(self) -> None:
        while not self._ended.is_set():
            self._dirty.wait()
            self._ended.wait(_EVERY)
            self._dirty.clear()
            if not self._ended.is_set():
                try:
                    self._save()
                except (OSError, BotoCoreError, ClientError) as error:
                    sys.stderr.write(f"S3 could not be saved in {self._folder}: {error}\n")

    def _save(self) -> None:
        there: dict[tuple[str, str], str] = {}
        buckets = [one["Name"] for one in self._s3.list_buckets()["Buckets"]]
        for bucket in buckets:
            (self._folder / bucket).mkdir(parents=True, exist_ok=True)
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for entry in page.get("Contents", ()):
                    there[bucket, entry["Key"]] = entry["ETag"]
        for (bucket, key), etag in there.items():
            if self._saved.get((bucket, key)) != etag:
                try:
                    self._save_one(bucket, key)
                except ClientError:
                    continue  # removed since the listing
                self._saved[bucket, key] = etag
        for bucket, key in set(self._saved) - set(there):
            for suffix in (".json", ".data"):
                self._file(bucket, key).with_suffix(suffix).unlink(missing_ok=True)
            del self._saved[bucket, key]
        for folder in self._folder.glob("*"):
            if folder.name not in buckets and not any(folder.iterdir()):
                folder.rmdir()

    def _save_one(self, bucket: str, key: str) -> None:
        answer = self._s3.get_object(Bucket=bucket, Key=key)
        file = self._file(bucket, key)
        new = file.with_suffix(".new")
        with new.open("wb") as stream:
            for chunk in answer["Body"].iter_chunks(1 << 20):
                stream.write(chunk)
        os.replace(new, file.with_suffix(".data"))
        about = {"key": key, "type": answer["ContentType"], "metadata": answer["Metadata"]}
        new.write_text(json.dumps(about))
        os.replace(new, file.with_suffix(".json"))

    def _file(self, bucket: str, key: str) -> Path:
        # Keys are longer than file names may be, and hold what these may not.
        return self._folder / bucket / hashlib.sha256(key.encode()).hexdigest()[:40]
