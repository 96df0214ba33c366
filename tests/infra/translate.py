"""Prints, as JSON, the CloudFormation template that SAM makes of the file named.

Runs in the SAM CLI's own environment. A second argument takes the place of the layer's content, as
another build of it does; what follows are parameters, name=value.
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
    parameters = dict(argument.split("=", 1) for argument in sys.argv[3:])
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
    defaults = {
        name: parameter["Default"]
        for name, parameter in template["Parameters"].items()
        if "Default" in parameter
    }
    json.dump(translator.translate(template, {**defaults, **parameters}), sys.stdout)


main()
