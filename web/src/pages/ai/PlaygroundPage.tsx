// A chat with any model that a user may call, with what each answer cost and how long it took.
import { useEffect, useRef } from 'preact/hooks';
import { api, type Schema } from '../../api/client';
import { useQuery } from '../../api/query';
import { useMe } from '../../api/session';
import { href, isComposing, setParams, useParam } from '../../router';
import { Button, Commands, Count, dirOf, Duration, Empty, ErrorBox, Field, LinkButton, Money, Page, Section, Select, Skeleton, TextField } from '../../ui';
import { type ChatAsk, chatLines } from './stream';
import { costOf, messagesToShow, type Turn, usePlayground } from './usePlayground';
import { useOrganizationNames, userName, useUsers } from './users';

function Figures({ turn }: { turn: Turn }) {
  const { usage } = turn;
  const seconds = turn.totalMs !== undefined && turn.firstMs !== undefined ? (turn.totalMs - turn.firstMs) / 1000 : 0;
  return (
    <p class="turn-figures muted small">
      {usage && <a href={href('/ai/requests', { request_id: usage.request_id })}><Money usd={usage.cost_usd} /></a>}
      {usage && <span><Count n={usage.input_tokens} /> in, <Count n={usage.output_tokens} /> out</span>}
      {turn.firstMs !== undefined && <span>first word after <Duration ms={turn.firstMs} /></span>}
      {turn.totalMs !== undefined && <span><Duration ms={turn.totalMs} /> in all</span>}
      {usage && seconds > 0.2 && <span>{Math.round(usage.output_tokens / seconds)} tokens/s</span>}
      {usage?.estimated && <span>estimated</span>}
      {turn.stopped && <span>stopped by you</span>}
      {turn.stopped && !usage && <a href={href('/ai/requests')}>its cost is among the requests</a>}
    </p>
  );
}

function Said({ turn, busy, onAgain }: { turn: Turn; busy: boolean; onAgain: (() => void) | undefined }) {
  return (
    <article class={`turn ${turn.role}`} aria-label={turn.role === 'user' ? 'You' : 'The model'}>
      {turn.reasoning && <details><summary>Reasoning</summary><div class="turn-text muted" dir="auto">{turn.reasoning}</div></details>}
      {turn.content !== '' && <div class="turn-text" dir="auto">{turn.content}</div>}
      {busy && turn.content === '' && <p class="muted" role="status">Waiting for the first word</p>}
      {turn.note && <p class="tone-warn small" role="status">{turn.note}</p>}
      {turn.error !== undefined && <ErrorBox error={turn.error} onRetry={onAgain} />}
      {turn.role === 'assistant' && !busy && <Figures turn={turn} />}
    </article>
  );
}

// The model of a call: the one that was chosen, where this user may call it. Another one, at another
// price, is taken only where nothing was chosen.
export function modelOf(chosen: string, chats: { id: string }[] | undefined): string {
  if (chats === undefined) return chosen;
  return chosen === '' ? (chats[0]?.id ?? '') : chats.some((one) => one.id === chosen) ? chosen : '';
}

// Loaded once a user is chosen: what may be called depends on the user.
function useModels(user: string) {
  return useQuery(user === '' ? null : `/v1/models#${user}`, async (signal) =>
    (await api.ask<Schema<'ModelList'>>('get', '/v1/models', { headers: { 'x-kvcs-user': user }, signal })).data.data);
}

export default function PlaygroundPage() {
  const me = useMe();
  const users = useUsers();
  const [asked] = useParam('user');
  const [askedModel] = useParam('model');
  const chat = usePlayground();
  const { text, system, temperature, maxTokens } = chat.draft;
  const organizations = useOrganizationNames();
  const end = useRef<HTMLDivElement>(null);
  const own = users.data?.find((one) => one.org_id === me?.organization_id) ?? users.data?.[0];
  const user = asked || own?.user_id || '';
  const models = useModels(user);
  // Models for embeddings answer no chat.
  const chats = models.data?.filter((one) => one.capabilities?.['embeddings'] !== true);
  const model = modelOf(askedModel, chats);
  // The end is kept in sight for whoever has not scrolled away from it; a question is looked at anyway.
  const isAtEnd = useRef(true);
  useEffect(() => {
    const look = () => { isAtEnd.current = (end.current?.getBoundingClientRect().top ?? 0) < innerHeight + 40; };
    addEventListener('scroll', look, { capture: true, passive: true });
    return () => removeEventListener('scroll', look, { capture: true });
  }, []);
  useEffect(() => { isAtEnd.current = true; }, [chat.turns.length]);
  useEffect(() => { if (isAtEnd.current) end.current?.scrollIntoView({ block: 'end' }); }, [chat.turns]);
  if (users.error && !users.data) return <Page title="Playground"><ErrorBox error={users.error} onRetry={users.refresh} /></Page>;
  if (!users.data) return <Page title="Playground"><Skeleton lines={5} /></Page>;
  if (users.data.length === 0) {
    return (
      <Page title="Playground">
        <Empty action={<LinkButton kind="primary" href={href('/ai/users', { create: '1' })}>Create a user</LinkButton>}
          command={`kvcs admin user create --email ada@example.com --org ${me?.organization_id ?? 'ORG_ID'} --limit 10`}>
          Every call is a user's and is paid from that user's budget. Create one, and chat here.
        </Empty>
      </Page>
    );
  }
  const ask: ChatAsk = { model, system, messages: messagesToShow(chat.turns, text), temperature, maxTokens };
  const mayAsk = model !== '' && !chat.busy;
  const send = () => {
    if (text.trim() === '' || !mayAsk) return;
    void chat.send(ask, user, text);
    chat.setDraft({ text: '' });
  };
  // What was refused last, or got no answer, is said again as it was.
  const [asking, answer] = chat.turns.slice(-2);
  const again = mayAsk && asking && answer?.error !== undefined ? () => void chat.send(ask, user, asking.content) : undefined;
  const cost = costOf(chat.turns);
  return (
    <Page title="Playground" state={chat.turns.length === 0 ? 'Calls here count like any others' : <>This chat has cost {!cost.isWhole && 'at least '}<Money usd={cost.usd} /></>}
      more={chat.turns.length > 0 && <Button kind="quiet" onClick={chat.clear}>New chat</Button>}>
      <div class="playground">
        <div class="chat">
          <div class="turns" role="log" aria-live="polite" aria-busy={chat.busy}>
            {chat.turns.map((turn, at) => <Said key={turn.id} turn={turn} busy={chat.busy && at === chat.turns.length - 1}
              onAgain={turn === answer ? again : undefined} />)}
            <div ref={end} />
          </div>
          <form class="say" onSubmit={(event) => { event.preventDefault(); send(); }}>
            <label class="visually-hidden" for="say">Your message</label>
            <textarea id="say" rows={3} value={text} placeholder="Say something" dir={dirOf(text)} onInput={(event) => chat.setDraft({ text: event.currentTarget.value })}
              onKeyDown={(event) => { if (event.key === 'Enter' && !event.shiftKey && !isComposing(event)) { event.preventDefault(); send(); } }} />
            <div class="form-actions">
              {chat.busy ? <Button onClick={chat.stop}>Stop</Button> : <Button kind="primary" type="submit" disabled={text.trim() === '' || model === ''}>Send</Button>}
              <span class="muted small">Enter sends, Shift-Enter breaks the line</span>
            </div>
          </form>
        </div>
        <div class="knobs form">
          <Select name="user" label="Paid by" value={user} onChange={(to) => setParams({ user: to, model })}
            choices={users.data.map((one) => ({ value: one.user_id, label: userName(one, users.data ?? [], organizations) }))} />
          {models.error && <ErrorBox error={models.error} onRetry={models.refresh} />}
          {chats?.length === 0
            ? <p class="field-error">This user can call no model. <a href={href('/ai/providers')}>Set a provider up</a>.</p>
            : <Select name="model" label="Model" value={model} onChange={(to) => setParams({ model: to })}
                {...(chats && model === '' && { error: `This user may not chat with ${askedModel}. Choose another model.` })}
                choices={[...(model === '' ? [{ value: '', label: 'Choose a model' }] : []),
                  ...(chats ?? (model === '' ? [] : [{ id: model }])).map((one) => ({ value: one.id, label: one.id }))]} />}
          <TextField name="system" label="System text" rows={4} value={system} dir={dirOf(system)} onInput={(event) => chat.setDraft({ system: event.currentTarget.value })} />
          <Field name="temperature" label="Temperature" type="number" min={0} max={2} step={0.1} value={temperature} placeholder="the model's own"
            onInput={(event) => chat.setDraft({ temperature: event.currentTarget.value })} />
          <Field name="max" label="Output, at most" type="number" min={1} step={1} value={maxTokens} placeholder="the model's own limit"
            hint="Tokens. With a limit less of the budget is reserved." onInput={(event) => chat.setDraft({ maxTokens: event.currentTarget.value })} />
        </div>
      </div>
      {model !== '' && (
        <Section title="The same from a program" note="With a key of the user's.">
          <Commands label="The call" ways={chatLines(ask, api.url('/'))} />
        </Section>
      )}
    </Page>
  );
}
