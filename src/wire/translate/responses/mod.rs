//! Responses.

mod read;
mod streams;

use super::fields::{Shape, dropped, mapped, refused};
use super::form::{Form, Names};
use crate::wire::Endpoint;

pub(super) static FORM: Form = Form {
    endpoint: Endpoint::Responses,
    path: "/responses",
    title: "Responses",
    shapes: &[BODY, STREAM_OPTIONS, TEXT, FORMAT, REASONING, ITEM, PART, TOOL, CHOICE],
    names: &Names {
        turns: "input",
        schema: "tools.parameters",
        strict: "tools.strict",
        choice: "tool_choice",
        max_output: "max_output_tokens",
        temperature: "temperature",
        top_p: "top_p",
        stops: "stop",
        format: "text.format",
        effort: "reasoning.effort",
        thinking: "reasoning.effort",
        image: "input.content.image_url",
        detail: "input.content.detail",
        document: "input.content.file_data",
        cached: "input.content.prompt_cache_breakpoint",
        prefills: false,
    },
    read: read::read,
    answers: streams::whole,
    streams: streams::stream,
    provider: None,
};

const OTHER_MODEL: &str = "another API's models have nothing like it";
const HINT: &str = "a hint";
const SERVER: &str = "it is run by the provider itself";
const OF_ANSWER: &str = "of an earlier answer; not needed";

pub(super) const BODY: Shape = Shape {
    path: "",
    fields: &[
        mapped("model", "the model's name, or what the flag chose"),
        mapped("input", "the turns; a text is the user's"),
        mapped("instructions", "the system prompt, before leading messages of `system` and `developer`"),
        mapped("max_output_tokens", "the most tokens of the answer; absent: the most that the model writes"),
        mapped("temperature", "at most 1; not where the model takes none or thinks"),
        mapped("top_p", "only without a `temperature`; not where the model takes none or thinks"),
        mapped("stream", "the same"),
        mapped("stream_options", "see below"),
        mapped("tools", "functions; other tools are a 400"),
        mapped("tool_choice", "the same"),
        mapped("parallel_tool_calls", "whether one answer may call several tools"),
        mapped("text", "see below"),
        mapped("reasoning", "see below"),
        mapped("safety_identifier", "the user's id; a long one becomes its digest"),
        mapped("user", "the same, where `safety_identifier` is absent"),
        mapped("include", "`reasoning.encrypted_content` is dropped, logprobs are a 400"),
        mapped(
            "previous_response_id",
            "a 400 `previous_response_not_found`, from which the SDKs go on with the whole conversation",
        ),
        mapped("conversation", "a 404 `conversation_not_found`"),
        refused("prompt", "it is stored at another provider; send its text"),
        refused("background", "the answer is not kept to be fetched").idle(&["false"]),
        refused("top_logprobs", OTHER_MODEL).idle(&["0"]),
        refused("moderation", SERVER),
        dropped("context_management", "the conversation crosses whole").idle(&["[]"]),
        dropped("store", "the answer is not kept").idle(&["false"]),
        dropped("metadata", "belongs to answers that are kept; the answer repeats it").idle(&["{}"]),
        dropped("truncation", "too long a conversation is the model's to refuse").idle(&["\"disabled\""]),
        dropped("max_tool_calls", "counts tools that the provider runs itself"),
        dropped("service_tier", "each provider has its own").idle(&["\"auto\"", "\"default\""]),
        dropped("prompt_cache_key", HINT),
        dropped("prompt_cache_options", HINT),
        dropped("prompt_cache_retention", HINT),
        dropped("access_programs", "belongs to one provider"),
        dropped("image", HINT),
        dropped("client_metadata", HINT),
    ],
};

const STREAM_OPTIONS: Shape = Shape {
    path: "stream_options",
    fields: &[dropped("stream_options.include_obfuscation", "events are not padded").idle(&["false"])],
};

const TEXT: Shape = Shape {
    path: "text",
    fields: &[mapped("text.format", "see below"), dropped("text.verbosity", HINT).idle(&["\"medium\""])],
};

const FORMAT: Shape = Shape {
    path: "text.format",
    fields: &[
        mapped(
            "text.format.type",
            "`text`, `json_schema`; `json_object` becomes an instruction, and is named as dropped",
        ),
        mapped("text.format.schema", "the same"),
        mapped("text.format.strict", "always so"),
        mapped("text.format.name", "the same in OpenAI's APIs; elsewhere a format has no name"),
        dropped("text.format.description", HINT),
    ],
};

const REASONING: Shape = Shape {
    path: "reasoning",
    fields: &[
        mapped("reasoning.effort", "the effort; whether the model thinks"),
        dropped("reasoning.summary", "what was thought is not shown"),
        dropped("reasoning.generate_summary", "what was thought is not shown"),
        dropped("reasoning.context", HINT).idle(&["\"auto\""]),
        dropped("reasoning.mode", HINT).idle(&["\"standard\""]),
    ],
};

const ITEM: Shape = Shape {
    path: "input",
    fields: &[
        mapped(
            "input.type",
            "`message`, `function_call`, `function_call_output`; `reasoning` is dropped, others are a 400",
        ),
        mapped(
            "input.role",
            "leading `system` and `developer` the system prompt, later ones a marked text of the user's",
        ),
        mapped("input.content", "see below; empty text is left out"),
        mapped(
            "input.call_id",
            "the same, where the other API takes its letters; else always the same other one",
        ),
        mapped("input.name", "the tool's name"),
        mapped("input.arguments", "the object that the text is; none where it is empty"),
        mapped("input.output", "what the tool gave: text, images, files"),
        mapped("input.id", OF_ANSWER),
        mapped("input.status", OF_ANSWER),
        mapped("input.summary", "named as dropped: `reasoning`"),
        mapped("input.encrypted_content", "named as dropped: `reasoning`"),
        dropped("input.phase", HINT),
        dropped("input.caller", "tools are called by the model").idle(&["{\"type\":\"direct\"}"]),
        refused("input.namespace", "tools have no namespaces elsewhere"),
    ],
};

const PART: Shape = Shape {
    path: "input.content",
    fields: &[
        mapped(
            "input.content.type",
            "`input_text`, `output_text`, `refusal`, `input_image`, `input_file`; others are a 400",
        ),
        mapped("input.content.text", "text"),
        mapped("input.content.refusal", "text"),
        mapped("input.content.image_url", "an image, here or by its URL"),
        mapped("input.content.detail", "the same in OpenAI's APIs; elsewhere named as dropped"),
        mapped("input.content.file_data", "a PDF"),
        mapped("input.content.file_url", "a document by its URL, where the other API takes one"),
        mapped("input.content.filename", "its title"),
        mapped("input.content.prompt_cache_breakpoint", "a cache may end here; the last four of them"),
        dropped("input.content.annotations", OF_ANSWER).idle(&["[]"]),
        dropped("input.content.logprobs", OF_ANSWER).idle(&["[]"]),
        refused("input.content.file_id", "the file is stored at another provider; send its data"),
        refused("input.content.input_audio", "the model hears no sound"),
    ],
};

const TOOL: Shape = Shape {
    path: "tools",
    fields: &[
        mapped("tools.type", "`function`; others are a 400"),
        mapped("tools.name", "the same"),
        mapped("tools.description", "the same"),
        mapped("tools.parameters", "the schema, of type `object`; absent: no properties"),
        mapped("tools.strict", "the same"),
        dropped("tools.defer_loading", "all tools are told at once").idle(&["false"]),
        dropped("tools.allowed_callers", "tools are called by the model").idle(&["[\"direct\"]"]),
        dropped("tools.output_schema", HINT),
    ],
};

const CHOICE: Shape = Shape {
    path: "tool_choice",
    fields: &[
        mapped("tool_choice.type", "`function`; others are a 400"),
        mapped("tool_choice.name", "the tool's name"),
    ],
};
