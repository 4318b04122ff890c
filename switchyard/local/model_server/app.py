"""The HTTP side: chat completions in OpenAI's format, and what was asked so far."""

import asyncio
import json
import time
import uuid
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from switchyard.local.model_server.behaviour import OFFLINE, Action, Behaviour, Call
from switchyard.local.model_server.calls import ROUTING, CallRecord, Calls, beginning
from switchyard.local.model_server.choose import choose
from switchyard.local.model_server.habits import WRAPPERS
from switchyard.local.model_server.templates import NoTemplate, TemplateFailed, Templates

MODEL = "switchyard-offline"
WHAT_IT_IS = "offline model, no language model behind it"
_HANG_S = 3600.0


def create_app(templates: Templates, calls: Calls, behave: Behaviour | None = None) -> FastAPI:
    """A server that answers as `behave` says, by default as the offline model."""
    app = FastAPI(title=MODEL, description=WHAT_IT_IS)

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request) -> Response:
        started, clock = time.time(), time.monotonic()
        try:
            body = await request.json()
        except ValueError:
            body = None
        if not _is_request(body):
            return _error(400, "The body is not a chat completion request: a JSON object with messages.")
        headers = dict(request.headers)
        purpose = headers.get("x-switchyard-purpose", "")
        call = Call(purpose, headers.get("x-switchyard-namespace", ""), body, headers)
        response = await _respond(call, behave(call) if behave else OFFLINE, templates)
        latency_ms = (time.monotonic() - clock) * 1000
        user = beginning(call.user)
        calls.add(CallRecord(started, latency_ms, purpose, call.namespace, response.status_code, user))
        return response

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": WHAT_IT_IS}]}

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "model": MODEL, "about": WHAT_IT_IS}

    @app.get("/calls")
    async def counts(namespace: str | None = None) -> dict[str, int]:
        return calls.by_purpose() if namespace is None else calls.of_namespace(namespace)

    @app.get("/log")
    async def log(messages: bool = False) -> list[dict[str, Any]]:
        return calls.log(with_messages=messages)

    return app


def _is_request(body: Any) -> bool:
    if not isinstance(body, dict) or not isinstance(body.get("response_format") or {}, dict):
        return False
    messages = body.get("messages")
    return isinstance(messages, list) and all(isinstance(message, dict) for message in messages)


async def _respond(call: Call, action: Action, templates: Templates) -> Response:
    await asyncio.sleep(_HANG_S if action.hang else action.delay_s)
    if action.status != 200:
        return _error(action.status, action.message, action.headers)
    if action.raw is not None:
        return Response(action.raw, media_type="application/json", headers=action.headers)
    if action.answer is not None:
        text = action.answer if isinstance(action.answer, str) else json.dumps(action.answer)
        return _completion(call, text)
    return await _offline(call, action.habit, templates)


async def _offline(call: Call, habit: str | None, templates: Templates) -> Response:
    try:
        facts = json.loads(call.user)
    except ValueError:
        facts = None
    if not isinstance(facts, dict):
        return _error(400, "The offline model reads a JSON object as user message.")
    if call.purpose == ROUTING:
        return _completion(call, _wrapped(call, habit, json.dumps(choose(facts), ensure_ascii=False)))
    kind, _, rest = call.purpose.partition("/")
    namespace, _, agent = rest.partition("/")
    if kind != "agent" or not agent:
        return _error(501, f"The offline model has no text for purpose {call.purpose!r}.")
    try:
        text = await asyncio.to_thread(templates.answer, namespace, agent, call.schema_name, facts)
    except NoTemplate as error:
        return _error(501, str(error))
    except TemplateFailed as error:
        return _error(500, str(error), {"x-should-retry": "false"})
    return _completion(call, _wrapped(call, habit, text))


def _wrapped(call: Call, habit: str | None, text: str) -> str:
    return WRAPPERS[habit](call, text) if habit else text


def _completion(call: Call, text: str) -> Response:
    prompt = sum(_tokens(str(message.get("content", ""))) for message in call.body["messages"])
    completion = _tokens(text)
    message = {"role": "assistant", "content": text}
    content = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": MODEL,
        "system_fingerprint": WHAT_IT_IS,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        },
    }
    return JSONResponse(content, headers={"X-Switchyard-Model": WHAT_IT_IS})


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    error = {"message": message, "type": "error", "param": None, "code": None}
    return JSONResponse({"error": error}, status, headers)


def _tokens(text: str) -> int:
    """An estimate: four characters each."""
    return (len(text) + 3) // 4
