"""Prints, as JSON, the CloudFormation template that SAM makes of the file named.

Runs in the SAM CLI's own environment. A second argument takes the place of the layer's content, as
another build of it does.
"""

import json
import sys
from pathlib import Path

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse


def main() -> None:
    path, layer = sys.argv[1], sys.argv[2]
    template = yaml_parse(Path(path).read_text(encoding="utf-8"))
    del template["Globals"]["Function"]["CodeUri"]
    for resource in template["Resources"].values():
        # SAM translates what has been packaged: code lies in S3.
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/function"
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            resource["Properties"]["ContentUri"] = f"s3://bucket/{layer}"
    session = boto3.Session(region_name="eu-west-1")
    translator = Translator({}, Parser(), boto_session=session)
    json.dump(translator.translate(template, {"Stage": "dev"}), sys.stdout)


main()
