// What each model costs, as it is charged, and the prices that operators set themselves.
import { useState } from 'preact/hooks';
import { api } from '../../api/client';
import { invalidate, useQuery } from '../../api/query';
import { mayOperate, useMe } from '../../api/session';
import { href, useParam } from '../../router';
import { Badge, Button, Code, type Column, counted, Dialog, Empty, Field, FilterBar, Form, Menu, Page, shortId, Table, toast, told } from '../../ui';
import { perMillion, priceBody, priceRows, priceText, type Row, tokenPrices } from './prices';

const path = '/admin/ai/prices';
// A model's name may have one slash, for its provider.
const placeOf = (model: string): { path: string; names: Record<string, string> } => {
  const slash = model.indexOf('/');
  return slash < 0 ? { path: `${path}/{model}`, names: { model } }
    : { path: `${path}/{provider}/{model}`, names: { provider: model.slice(0, slash), model: model.slice(slash + 1) } };
};

const ofOne = (row: Row) => (row.org_id ? { org_id: row.org_id } : {});

function PriceDialog({ row, onClose }: { row: Row | null; onClose: () => void }) {
  const known = (name: (typeof tokenPrices)[number]) => perMillion(row?.[name]) ?? '';
  return (
    <Dialog title={row ? `Price of ${row.model}${row.org_id ? `, for ${row.org_id}` : ''}` : 'Set a price'} onClose={onClose}>
      <Form submit="Save" onCancel={onClose} onSubmit={async (values) => {
        const model = row?.model ?? (values['model'] ?? '').trim();
        const place = placeOf(model);
        await api.ask('put', place.path, { path: place.names, query: row ? ofOne(row) : {}, body: priceBody(row, values) });
        invalidate(path);
        toast(`${model} is charged so from now on.`);
        onClose();
      }}>
        {!row && <Field name="model" label="Model" required spellcheck={false} />}
        <Field name="input_cost_per_token" label="A million tokens read, USD" inputMode="decimal" required defaultValue={known('input_cost_per_token')} />
        <Field name="output_cost_per_token" label="A million tokens written, USD" inputMode="decimal" required defaultValue={known('output_cost_per_token')} />
        <Field name="cache_read_input_token_cost" label="A million tokens read from the cache, USD" inputMode="decimal" defaultValue={known('cache_read_input_token_cost')} />
        <Field name="max_input_tokens" label="Context, tokens" inputMode="numeric" defaultValue={row?.max_input_tokens ?? ''} hint="Bounds what is reserved before a call." />
        <Field name="max_output_tokens" label="Output, at most, tokens" inputMode="numeric" defaultValue={row?.max_output_tokens ?? ''} />
        {row && <p class="muted small">Its other prices (long inputs, sound, searches, …) stay as they are.</p>}
      </Form>
    </Dialog>
  );
}

const Exact = ({ usd }: { usd: number | undefined }) => {
  const text = priceText(perMillion(usd));
  return text === null ? <span class="muted" aria-label="none">–</span> : <span class="figure">{text}</span>;
};

export default function PricesPage() {
  const me = useMe();
  const [q] = useParam('q');
  const [which] = useParam('which');
  const [edited, setEdited] = useState<Row | 'new' | null>(null);
  const { data, error, refresh } = useQuery(path, (signal) => api.get(path, { signal }));
  const may = Boolean(me && mayOperate(me));
  const remove = (row: Row) => {
    const place = placeOf(row.model ?? '');
    return told(row.org_id ? `The price of ${row.model} for the organization ${row.org_id} is gone; it pays what everybody does.`
      : `The price that was set for ${row.model} is gone; the shipped one holds, if there is one.`,
    () => api.ask('delete', place.path, { path: place.names, query: ofOne(row) }), path);
  };
  const all: Row[] | undefined = data && priceRows(data.overrides, data.prices);
  const words = q.toLocaleLowerCase();
  const rows = all?.filter((one) => (one.model ?? '').toLocaleLowerCase().includes(words) && (which === '' || one.own));
  const columns: Column<Row>[] = [
    { key: 'model', label: 'Model', cell: (one) => <>{one.model}{one.own && <> <Badge tone="info">{one.org_id ? `set for ${shortId(one.org_id)}` : 'set here'}</Badge></>}</> },
    { key: 'provider', label: 'Model provider', cell: (one) => String(one.litellm_provider ?? ''), narrow: 'hide' },
    { key: 'in', label: 'Read, 1 M', align: 'right', cell: (one) => <Exact usd={one.input_cost_per_token} />, narrow: 'sub' },
    { key: 'cached', label: 'From cache, 1 M', align: 'right', cell: (one) => <Exact usd={one.cache_read_input_token_cost} />, narrow: 'hide' },
    { key: 'out', label: 'Written, 1 M', align: 'right', cell: (one) => <Exact usd={one.output_cost_per_token} />, narrow: 'side' },
    { key: 'date', label: 'As of', align: 'right', cell: (one) => String(one.date ?? ''), narrow: 'hide' },
  ];
  if (all?.some((one) => one.org_id)) {
    columns.splice(1, 0, {
      key: 'org', label: 'Organization', narrow: 'sub',
      cell: (one) => (one.org_id ? <a href={href(`/ops/organizations/${one.org_id}`)}>{shortId(one.org_id)}</a> : 'all'),
    });
  }
  if (may) {
    columns.push({
      key: 'change', label: '', align: 'right', narrow: 'end',
      cell: (one) => (
        <Menu label={`Change ${one.model}`} button="Change" kind="quiet" align="right" items={[
          { label: 'Set a price', run: () => setEdited(one) },
          ...(one.own ? [{ label: one.org_id ? 'Back to everybody’s' : 'Back to the shipped one', run: () => void remove(one) }] : []),
        ]} />
      ),
    });
  }
  const create = may && <Button kind="primary" onClick={() => setEdited('new')}>Set a price</Button>;
  return (
    <Page title="Prices" action={create}
      state={data && <>{counted(all?.length ?? 0, 'model')}, {data.overrides.length} priced here; version <Code text={data.price_version} label="price version" /></>}>
      <FilterBar search="q" placeholder="Filter by model" filters={[{
        name: 'which', label: 'prices', choices: [{ value: '', label: 'all' }, { value: 'own', label: 'set here' }] }]} />
      <Table label="Prices" rows={rows} columns={columns} idOf={(one) => `${one.model}/${one.org_id ?? ''}`} error={error} onRetry={refresh}
        empty={<Empty action={create} command="kvcs admin prices set local/llama --input 0.0000002 --output 0.0000006   # USD per token: 0.20 and 0.60 per 1 M">No model fits. One without a price is refused.</Empty>} />
      {edited && <PriceDialog row={edited === 'new' ? null : edited} onClose={() => setEdited(null)} />}
    </Page>
  );
}
