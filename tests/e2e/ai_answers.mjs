// What the scripted provider of the client tests can say. One neutral description of an answer
// (text, thinking, tool calls, searches, usage) is written in the four dialects, whole or streamed,
// as their vendors' references describe them. ai_provider.mjs sends them.

// Kinds of tokens here do not overlap; each dialect adds them up by its own rule.
const none = { fresh: 0, cached: 0, write: 0, write1h: 0, output: 0, reasoning: 0 };
export const kUsage = { ...none, fresh: 80, output: 50 };

const data = (value) => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;
const named = (value) => `event: ${value.type}\n${data(value)}`;
// Three pieces, none of which splits a pair of surrogates.
const pieces = (text) => {
  const points = [...text];
  const size = Math.ceil(points.length / 3) || 1;
  const out = [];
  for (let i = 0; i < points.length; i += size) out.push(points.slice(i, i + size).join(''));
  return out;
};
const usageOf = (answer) => ({ ...none, ...(answer.usage ?? kUsage) });

// --- chat completions -------------------------------------------------------------------------

function chatUsage(answer) {
  const used = usageOf(answer);
  const prompt = used.fresh + used.cached + used.write;
  const completion = used.output + used.reasoning;
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: used.cached, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: used.reasoning,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

const chatFinish = (answer) => answer.finish ?? (answer.tools ? 'tool_calls' : 'stop');
const chatTexts = (answer) => (Array.isArray(answer.text) ? answer.text : [answer.text ?? null]);
const chatTools = (answer) =>
  answer.tools?.map((tool) => ({
    id: tool.id,
    type: 'function',
    function: { name: tool.name, arguments: JSON.stringify(tool.input) },
  }));

export function chatWhole(answer, asked) {
  const tools = chatTools(answer);
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1764400000,
    model: asked.model,
    service_tier: 'default',
    system_fingerprint: 'fp_1',
    choices: chatTexts(answer).map((content, index) => ({
      index,
      logprobs: null,
      finish_reason: chatFinish(answer),
      message: {
        role: 'assistant',
        content,
        refusal: null,
        annotations: [],
        ...(tools ? { tool_calls: tools } : {}),
      },
    })),
    ...(answer.usage === null ? {} : { usage: chatUsage(answer) }),
  };
}

export function chatEvents(answer, asked) {
  // Every chunk says `usage: null` when the last one is to have it; else none names it.
  const counted = asked.stream_options?.include_usage === true && answer.usage !== null;
  const chunk = (choices, usage = null) =>
    data({
      id: 'chatcmpl-1',
      object: 'chat.completion.chunk',
      created: 1764400000,
      model: asked.model,
      service_tier: 'default',
      system_fingerprint: 'fp_1',
      choices,
      ...(counted ? { usage } : {}),
    });
  const part = (index, delta, finish_reason = null) =>
    chunk([{ index, delta, logprobs: null, finish_reason }]);
  const events = [];
  chatTexts(answer).forEach((text, index) => {
    events.push(
      part(index, { role: 'assistant', content: text === null ? null : '', refusal: null }),
    );
    for (const content of pieces(text ?? '')) events.push(part(index, { content }));
    (chatTools(answer) ?? []).forEach((tool, at) => {
      const call = (value) => ({ tool_calls: [{ index: at, ...value }] });
      events.push(
        part(index, call({ ...tool, function: { name: tool.function.name, arguments: '' } })),
      );
      for (const text of pieces(tool.function.arguments))
        events.push(part(index, call({ function: { arguments: text } })));
    });
  });
  if (answer.finish !== 'none') {
    chatTexts(answer).forEach((_, index) => events.push(part(index, {}, chatFinish(answer))));
  }
  if (counted) events.push(chunk([], chatUsage(answer)));
  if (answer.done !== false) events.push(data('[DONE]'));
  return events;
}

// --- responses --------------------------------------------------------------------------------

function responseItems(answer) {
  const items = [];
  if (answer.thinking) {
    items.push({
      id: 'rs_1',
      type: 'reasoning',
      summary: [{ type: 'summary_text', text: answer.thinking }],
    });
  }
  for (let i = 1; i <= (answer.searches ?? 0); ++i) {
    items.push({
      id: `ws_${i}`,
      type: 'web_search_call',
      status: 'completed',
      action: { type: 'search', query: `query ${i}` },
    });
  }
  for (const tool of answer.tools ?? []) {
    items.push({
      id: `fc_${tool.id}`,
      type: 'function_call',
      status: 'completed',
      call_id: tool.id,
      name: tool.name,
      arguments: JSON.stringify(tool.input),
    });
  }
  if (answer.text !== undefined) {
    items.push({
      id: 'msg_1',
      type: 'message',
      status: 'completed',
      role: 'assistant',
      content: [{ type: 'output_text', text: answer.text, annotations: [], logprobs: [] }],
    });
  }
  return items;
}

function responseUsage(answer) {
  const used = usageOf(answer);
  const input = used.fresh + used.cached + used.write;
  const output = used.output + used.reasoning;
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: used.cached },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: used.reasoning },
    total_tokens: input + output,
  };
}

export function responseWhole(answer, asked) {
  const status = answer.finish === 'length' ? 'incomplete' : 'completed';
  return {
    id: 'resp_1',
    object: 'response',
    created_at: 1764400000,
    status,
    background: false,
    error: null,
    incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
    instructions: asked.instructions ?? null,
    max_output_tokens: asked.max_output_tokens ?? null,
    model: asked.model,
    output: responseItems(answer),
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    service_tier: 'default',
    store: true,
    temperature: 1,
    text: asked.text ?? { format: { type: 'text' } },
    tool_choice: 'auto',
    tools: asked.tools ?? [],
    top_p: 1,
    truncation: 'disabled',
    usage: responseUsage(answer),
    user: null,
    metadata: {},
  };
}

export function responseEvents(answer, asked) {
  const whole = responseWhole(answer, asked);
  const begun = {
    ...whole,
    status: 'in_progress',
    output: [],
    usage: null,
    incomplete_details: null,
  };
  const events = [];
  const say = (type, members) =>
    events.push(named({ type, sequence_number: events.length, ...members }));
  say('response.created', { response: begun });
  say('response.in_progress', { response: begun });
  whole.output.forEach((item, output_index) => {
    const at = { item_id: item.id, output_index };
    const empty = {
      reasoning: { summary: [] },
      web_search_call: { status: 'in_progress' },
      function_call: { status: 'in_progress', arguments: '' },
      message: { status: 'in_progress', content: [] },
    };
    say('response.output_item.added', { output_index, item: { ...item, ...empty[item.type] } });
    if (item.type === 'web_search_call') {
      for (const step of ['in_progress', 'searching', 'completed'])
        say(`response.web_search_call.${step}`, at);
    }
    if (item.type === 'reasoning') {
      const where = { ...at, summary_index: 0 };
      const [part] = item.summary;
      say('response.reasoning_summary_part.added', { ...where, part: { ...part, text: '' } });
      for (const delta of pieces(part.text))
        say('response.reasoning_summary_text.delta', { ...where, delta });
      say('response.reasoning_summary_text.done', { ...where, text: part.text });
      say('response.reasoning_summary_part.done', { ...where, part });
    }
    if (item.type === 'function_call') {
      for (const delta of pieces(item.arguments))
        say('response.function_call_arguments.delta', { ...at, delta });
      say('response.function_call_arguments.done', {
        ...at,
        name: item.name,
        arguments: item.arguments,
      });
    }
    if (item.type === 'message') {
      const where = { ...at, content_index: 0 };
      const [part] = item.content;
      say('response.content_part.added', { ...where, part: { ...part, text: '' } });
      for (const delta of pieces(part.text))
        say('response.output_text.delta', { ...where, delta, logprobs: [] });
      say('response.output_text.done', { ...where, text: part.text, logprobs: [] });
      say('response.content_part.done', { ...where, part });
    }
    say('response.output_item.done', { output_index, item });
  });
  say(`response.${whole.status}`, { response: whole });
  return events;
}

// --- messages ---------------------------------------------------------------------------------

function messageBlocks(answer) {
  const blocks = [];
  if (answer.thinking)
    blocks.push({ type: 'thinking', thinking: answer.thinking, signature: 'c2lnbmVk' });
  for (let i = 1; i <= (answer.searches ?? 0); ++i) {
    blocks.push({
      type: 'server_tool_use',
      id: `srvtoolu_${i}`,
      name: 'web_search',
      input: { query: `query ${i}` },
    });
    blocks.push({
      type: 'web_search_tool_result',
      tool_use_id: `srvtoolu_${i}`,
      content: [
        {
          type: 'web_search_result',
          url: `https://example.com/${i}`,
          title: `Page ${i}`,
          encrypted_content: 'ZW5jcnlwdGVk',
          page_age: null,
        },
      ],
    });
  }
  if (answer.text !== undefined) blocks.push({ type: 'text', text: answer.text });
  for (const tool of answer.tools ?? [])
    blocks.push({ type: 'tool_use', id: tool.id, name: tool.name, input: tool.input });
  return blocks;
}

function messageUsage(answer) {
  const used = usageOf(answer);
  return {
    input_tokens: used.fresh,
    cache_creation_input_tokens: used.write + used.write1h,
    cache_read_input_tokens: used.cached,
    cache_creation: {
      ephemeral_5m_input_tokens: used.write,
      ephemeral_1h_input_tokens: used.write1h,
    },
    output_tokens: used.output + used.reasoning,
    service_tier: 'standard',
    ...(answer.searches
      ? { server_tool_use: { web_search_requests: answer.searches, web_fetch_requests: 0 } }
      : {}),
    ...(answer.iterations ? { iterations: answer.iterations } : {}),
  };
}

const messageStop = (answer) =>
  ({ tool_calls: 'tool_use', length: 'max_tokens' })[chatFinish(answer)] ?? 'end_turn';

export function messageWhole(answer, asked) {
  return {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: asked.model,
    content: messageBlocks(answer),
    stop_reason: messageStop(answer),
    stop_sequence: null,
    usage: messageUsage(answer),
  };
}

export function messageEvents(answer, asked) {
  const whole = messageWhole(answer, asked);
  const { iterations, server_tool_use, ...atStart } = whole.usage;
  const events = [
    named({
      type: 'message_start',
      message: {
        ...whole,
        content: [],
        stop_reason: null,
        usage: { ...atStart, output_tokens: 1 },
      },
    }),
    named({ type: 'ping' }),
  ];
  whole.content.forEach((block, index) => {
    const delta = (value) =>
      events.push(named({ type: 'content_block_delta', index, delta: value }));
    const empty = {
      text: { text: '' },
      thinking: { thinking: '', signature: '' },
      tool_use: { input: {} },
      server_tool_use: { input: {} },
    };
    events.push(
      named({
        type: 'content_block_start',
        index,
        content_block: { ...block, ...empty[block.type] },
      }),
    );
    if (block.type === 'text')
      for (const text of pieces(block.text)) delta({ type: 'text_delta', text });
    if (block.type === 'thinking') {
      for (const thinking of pieces(block.thinking)) delta({ type: 'thinking_delta', thinking });
      delta({ type: 'signature_delta', signature: block.signature });
    }
    if (block.type === 'tool_use' || block.type === 'server_tool_use') {
      for (const partial_json of pieces(JSON.stringify(block.input)))
        delta({ type: 'input_json_delta', partial_json });
    }
    events.push(named({ type: 'content_block_stop', index }));
  });
  // Counts of a stream are cumulative. Some servers repeat the input's as 0 (`zeroDelta`).
  const { output_tokens } = whole.usage;
  const usage = answer.zeroDelta
    ? { input_tokens: 0, cache_read_input_tokens: 0, output_tokens }
    : {
        output_tokens,
        ...(server_tool_use ? { server_tool_use } : {}),
        ...(iterations ? { iterations } : {}),
      };
  if (answer.finish !== 'none') {
    events.push(
      named({
        type: 'message_delta',
        delta: { stop_reason: whole.stop_reason, stop_sequence: null },
        usage,
      }),
    );
    events.push(named({ type: 'message_stop' }));
  }
  return events;
}

// --- embeddings -------------------------------------------------------------------------------

export function embeddingsWhole(answer, asked) {
  const inputs = Array.isArray(asked.input) ? asked.input : [asked.input];
  const vector = (index) => [0.5, -1, index, 0.25].slice(0, asked.dimensions ?? 4);
  const encoded = (values) =>
    asked.encoding_format === 'base64'
      ? Buffer.from(new Float32Array(values).buffer).toString('base64')
      : values;
  const prompt_tokens = usageOf(answer).fresh;
  return {
    object: 'list',
    model: asked.model,
    usage: { prompt_tokens, total_tokens: prompt_tokens },
    data: inputs.map((_, index) => ({
      object: 'embedding',
      index,
      embedding: encoded(vector(index)),
    })),
  };
}
