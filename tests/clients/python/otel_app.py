"""An app with OpenTelemetry's SDK: asks the gateway inside a span of its own, whose place it sends along. Prints its trace and its span."""

import os

import openai
from opentelemetry import trace
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import TracerProvider

trace.set_tracer_provider(TracerProvider())
client = openai.OpenAI(base_url=os.environ["OPENAI_BASE_URL"], api_key="unused", max_retries=0)
with trace.get_tracer("app").start_as_current_span("ask") as span:
    headers = {}
    inject(headers)
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}], extra_headers=headers)
    context = span.get_span_context()
    print(f"{context.trace_id:032x} {context.span_id:016x}")
