"""A collector of traces: takes OTLP over HTTP, decodes it with OpenTelemetry's own definitions, prints one line of JSON for each span.

The first line is the port. What is no message of OTLP's is answered with 400 and said, as a collector does.
"""

import gzip
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
from opentelemetry.proto.trace.v1 import trace_pb2


def value(any_value):
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return [value(one) for one in any_value.array_value.values]
    return getattr(any_value, kind) if kind else None


def attributes(pairs):
    keys = [pair.key for pair in pairs]
    assert len(keys) == len(set(keys)), f"an attribute comes twice: {keys}"
    return {pair.key: value(pair.value) for pair in pairs}


def shown(span, resource):
    return {
        "trace": span.trace_id.hex(),
        "span": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "state": span.trace_state,
        "flags": span.flags,
        "name": span.name,
        "kind": trace_pb2.Span.SpanKind.Name(span.kind),
        "status": trace_pb2.Status.StatusCode.Name(span.status.code),
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "attributes": attributes(span.attributes),
        "events": [{"name": one.name, "attributes": attributes(one.attributes)} for one in span.events],
        "resource": resource,
    }


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        request, status, lines = service.ExportTraceServiceRequest(), 200, []
        try:
            assert self.path == "/v1/traces" and self.headers["content-type"] == "application/x-protobuf", self.path
            request.ParseFromString(body)
            for resources in request.resource_spans:
                resource = attributes(resources.resource.attributes)
                for scope in resources.scope_spans:
                    lines += [json.dumps(shown(span, resource)) for span in scope.spans]
        except Exception as error:
            status, lines = 400, [json.dumps({"refused": repr(error)})]
        print("\n".join(lines), flush=True)
        answer = service.ExportTraceServiceResponse().SerializeToString()
        self.send_response(status)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
