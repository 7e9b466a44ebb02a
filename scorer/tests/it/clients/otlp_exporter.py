"""Sends log records with OpenTelemetry's own exporter and prints how each export ended."""

import sys
import time

from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource


class Watched(OTLPLogExporter):
    def export(self, batch):
        result = super().export(batch)
        print(len(batch), result.name)
        return result


address, *bodies = sys.argv[1:]
provider = LoggerProvider(resource=Resource.create({"service.name": "checkout"}))
provider.add_log_record_processor(BatchLogRecordProcessor(Watched(endpoint=address, insecure=True)))
logger = provider.get_logger("shop.cart")
for body in bodies:
    logger.emit(
        timestamp=time.time_ns(),
        severity_number=SeverityNumber.ERROR,
        severity_text="ERROR",
        body=body,
        attributes={"cart.items": 3},
    )
provider.shutdown()
