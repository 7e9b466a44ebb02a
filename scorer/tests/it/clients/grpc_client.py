"""Knows nothing of Isolog but an address: asks reflection for the services and their messages, then calls one."""

import json
import sys

import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

address, line = sys.argv[1:]
service_name = "isolog.v1.ScoringService"
with grpc.insecure_channel(address) as channel:
    database = ProtoReflectionDescriptorDatabase(channel)
    services = sorted(database.get_services())
    service = DescriptorPool(database).FindServiceByName(service_name)

    def call(kind, name, build):
        method = service.FindMethodByName(name)
        make = message_factory.GetMessageClass
        stub = getattr(channel, kind)(
            f"/{service_name}/{name}",
            request_serializer=make(method.input_type).SerializeToString,
            response_deserializer=make(method.output_type).FromString,
        )
        return stub(build(make(method.input_type)), timeout=60)

    def one(kind):
        request = kind()
        request.line.text = line
        request.explain = 2
        return request

    def batch(kind):
        request = kind()
        request.lines.add().text = line
        request.lines.add().text = " "
        return request

    def stream(kind):
        for number in range(1, 4):
            request = kind()
            request.id = number
            request.line.text = line
            yield request

    scored = call("unary_unary", "Score", one)
    batched = call("unary_unary", "ScoreBatch", batch)
    streamed = list(call("stream_stream", "ScoreStream", stream))
    info = call("unary_unary", "GetModelInfo", lambda kind: kind())
    health = health_pb2_grpc.HealthStub(channel)
    statuses = [
        health_pb2.HealthCheckResponse.ServingStatus.Name(
            health.Check(health_pb2.HealthCheckRequest(service=name), timeout=60).status
        )
        for name in ("", service_name)
    ]

print(
    json.dumps(
        {
            "services": services,
            "scored": json_format.MessageToDict(scored, always_print_fields_with_no_presence=True),
            "batched": [result.WhichOneof("outcome") for result in batched.results],
            "streamed": [[answer.id, answer.result.scored.events[0].score] for answer in streamed],
            "rows": info.info.rows,
            "health": statuses,
        }
    )
)
