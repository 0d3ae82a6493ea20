#!/usr/bin/env python3
"""Three commands of the AWS CLI, for test images: against an endpoint that asks for a signature and checks none.

aws s3 cp s3://bucket/key -        aws s3 cp - s3://bucket/key        aws s3api put-object --bucket B --key K --body FILE [--if-none-match '*']
"""

import os
import shutil
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=stand-in/20000101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"}


def url(bucket: str, key: str) -> str:
    return f"{os.environ['AWS_ENDPOINT_URL']}/{bucket}/{urllib.parse.quote(key)}"


def parts(address: str) -> tuple[str, str]:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bucket, key


def put(address: str, content, headers: dict[str, str]) -> None:
    with tempfile.TemporaryFile() as spool:
        shutil.copyfileobj(content, spool)
        length = spool.tell()
        spool.seek(0)
        told = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
        request = urllib.request.Request(address, spool, {**SIGNED, **told, **headers}, method="PUT")
        urllib.request.urlopen(request).close()


def main(arguments: list[str]) -> None:
    words = [word for word in arguments if word != "--only-show-errors"]
    if words[:2] == ["s3", "cp"] and words[3] == "-":
        with urllib.request.urlopen(urllib.request.Request(url(*parts(words[2])), headers=SIGNED)) as answer:
            shutil.copyfileobj(answer, sys.stdout.buffer)
    elif words[:2] == ["s3", "cp"] and words[2] == "-":
        put(url(*parts(words[3])), sys.stdin.buffer, {})
    elif words[:2] == ["s3api", "put-object"]:
        given = dict(zip(words[2::2], words[3::2], strict=True))
        condition = {"If-None-Match": given["--if-none-match"]} if "--if-none-match" in given else {}
        with open(given["--body"], "rb") as body:
            put(url(given["--bucket"], given["--key"]), body, condition)
    else:
        raise SystemExit(f"aws: this stand-in knows no {words[:2]}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except urllib.error.HTTPError as err:
        raise SystemExit(f"An error occurred ({err.code}): {err.reason}") from err
