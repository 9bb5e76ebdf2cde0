"""An agent of the OpenAI Agents SDK that OpenInference watches: `instrumented_agent.py MODEL_URL TRACES_URL KEY`."""

import asyncio
import sys

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool
from openai import AsyncOpenAI
from openinference.instrumentation import using_attributes
from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


@function_tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


def main(model_url: str, traces_url: str, key: str) -> None:
    """Ask the agent once, and send what OpenInference saw of it."""
    provider = TracerProvider()
    headers = {"Authorization": f"Bearer {key}"}
    exporter = OTLPSpanExporter(endpoint=traces_url, headers=headers, compression=Compression.Gzip, timeout=30)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)
    client = AsyncOpenAI(base_url=model_url, api_key="none", timeout=30)
    model = OpenAIChatCompletionsModel("gpt-4o-mini", client)
    agent = Agent(name="guide", instructions="Be brief.", tools=[weather], model=model)
    with using_attributes(session_id="trip", user_id="ana"):
        result = asyncio.run(Runner.run(agent, "How is the weather in Rome?"))
    provider.shutdown()
    print(result.final_output)


if __name__ == "__main__":
    main(*sys.argv[1:])
