"""Holds answers against botocore's own model."""

import json


def matches(shape, value, at):
    """Whether a raw answer has the model's types, and no member that the model does not have."""
    kind = shape.type_name
    if kind == "structure":
        assert isinstance(value, dict), f"{at} is no structure: {value!r}"
        for name in shape.required_members:
            assert name in value, f"{at} lacks {name}"
        for name, member in value.items():
            assert name in shape.members, f"{at} has {name}, which the model does not know"
            matches(shape.members[name], member, f"{at}.{name}")
    elif kind == "list":
        assert isinstance(value, list), f"{at} is no list: {value!r}"
        for member in value:
            matches(shape.member, member, f"{at}[]")
    elif kind == "map":
        for member in value.values():
            matches(shape.value, member, f"{at}{{}}")
    else:
        types = {"string": str, "blob": str, "boolean": bool, "timestamp": (int, float), "integer": int, "long": int}
        assert isinstance(value, types[kind]), f"{at} is no {kind}: {value!r}"


def held(service, called):
    """What boto3 calls with each answer: notes the operation in `called`, and looks at what was answered."""

    def hold(operation_model, response_dict, **_):
        called.add(f"{service}:{operation_model.name}")
        if response_dict["status_code"] == 200:
            body = json.loads(response_dict["body"] or b"{}")
            if operation_model.output_shape is None:
                assert body == {}, body
            else:
                matches(operation_model.output_shape, body, operation_model.name)

    return hold
