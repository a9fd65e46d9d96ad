// What each model costs, as it is charged, and the prices that operators set themselves.
import { useState } from 'preact/hooks';
import { api, type Schema, wordsOf } from '../../api/client';
import { invalidate, useQuery } from '../../api/query';
import { mayOperate, useMe } from '../../api/session';
import { useParam } from '../../router';
import { Badge, Button, Code, type Column, counted, Dialog, Empty, Field, FilterBar, Form, Menu, Money, Page, Table, toast } from '../../ui';

type Price = Schema<'Price'>;
interface Row extends Price { own: boolean }
const path = '/admin/ai/prices';
const perMillion = (usd: number | undefined) => (usd === undefined ? null : usd * 1e6);
// A model's name may have one slash, for its provider.
const placeOf = (model: string): { path: string; names: Record<string, string> } => {
  const slash = model.indexOf('/');
  return slash < 0 ? { path: `${path}/{model}`, names: { model } }
    : { path: `${path}/{provider}/{model}`, names: { provider: model.slice(0, slash), model: model.slice(slash + 1) } };
};

function PriceDialog({ row, onClose }: { row: Row | null; onClose: () => void }) {
  const known = (name: 'input_cost_per_token' | 'output_cost_per_token' | 'cache_read_input_token_cost') => perMillion(row?.[name]) ?? '';
  return (
    <Dialog title={row ? `Price of ${row.model}` : 'Set a price'} onClose={onClose}>
      <Form submit="Save" onCancel={onClose} onSubmit={async (values) => {
        const model = row?.model ?? values['model'] ?? '';
        const place = placeOf(model);
        const token = (name: string) => (values[name] ? Number(values[name]) / 1e6 : undefined);
        await api.ask('put', place.path, {
          path: place.names,
          body: {
            input_cost_per_token: token('input') ?? 0, output_cost_per_token: token('output') ?? 0,
            ...(token('cached') !== undefined && { cache_read_input_token_cost: token('cached') }),
            ...(values['context'] && { max_input_tokens: Number(values['context']) }),
            ...(values['out'] && { max_output_tokens: Number(values['out']) }),
          } as never,
        });
        invalidate(path);
        toast(`${model} is charged so from now on.`);
        onClose();
      }}>
        {!row && <Field name="model" label="Model" required spellcheck={false} />}
        <Field name="input" label="A million tokens read, USD" inputMode="decimal" required defaultValue={known('input_cost_per_token')} />
        <Field name="output" label="A million tokens written, USD" inputMode="decimal" required defaultValue={known('output_cost_per_token')} />
        <Field name="cached" label="A million tokens read from the cache, USD" inputMode="decimal" defaultValue={known('cache_read_input_token_cost')} />
        <Field name="context" label="Context, tokens" inputMode="numeric" defaultValue={Number(row?.max_input_tokens ?? 0) || ''} hint="Bounds what is reserved before a call." />
        <Field name="out" label="Output, at most, tokens" inputMode="numeric" defaultValue={Number(row?.max_output_tokens ?? 0) || ''} />
      </Form>
    </Dialog>
  );
}

export default function PricesPage() {
  const me = useMe();
  const [q] = useParam('q');
  const [which] = useParam('which');
  const [edited, setEdited] = useState<Row | 'new' | null>(null);
  const { data, error, refresh } = useQuery(path, (signal) => api.get(path, { signal }));
  const may = Boolean(me && mayOperate(me));
  const remove = async (row: Row) => {
    const place = placeOf(row.model ?? '');
    try {
      await api.ask('delete', place.path, { path: place.names });
      toast(`The price that was set for ${row.model} is gone; the shipped one holds, if there is one.`);
    } catch (refused) {
      toast(wordsOf(refused), { tone: 'bad' });
    }
    invalidate(path);
  };
  const own = new Set(data?.overrides.map((one) => one.model));
  const all: Row[] | undefined = data && [...data.overrides.map((one) => ({ ...one, own: true })),
    ...data.prices.filter((one) => !own.has(one.model)).map((one) => ({ ...one, own: false }))];
  const words = q.toLocaleLowerCase();
  const rows = all?.filter((one) => (one.model ?? '').toLocaleLowerCase().includes(words) && (which === '' || one.own));
  const columns: Column<Row>[] = [
    { key: 'model', label: 'Model', cell: (one) => <>{one.model}{one.own && <> <Badge tone="info">set here</Badge></>}</> },
    { key: 'provider', label: 'Model provider', cell: (one) => String(one.litellm_provider ?? ''), narrow: 'hide' },
    { key: 'in', label: 'Read, 1 M', align: 'right', cell: (one) => <Money usd={perMillion(one.input_cost_per_token)} />, narrow: 'sub' },
    { key: 'cached', label: 'From cache, 1 M', align: 'right', cell: (one) => <Money usd={perMillion(one.cache_read_input_token_cost)} />, narrow: 'hide' },
    { key: 'out', label: 'Written, 1 M', align: 'right', cell: (one) => <Money usd={perMillion(one.output_cost_per_token)} />, narrow: 'side' },
    { key: 'date', label: 'As of', align: 'right', cell: (one) => String(one.date ?? ''), narrow: 'hide' },
  ];
  if (may) {
    columns.push({
      key: 'change', label: '', align: 'right', narrow: 'end',
      cell: (one) => (
        <Menu label={`Change ${one.model}`} button="Change" kind="quiet" align="right" items={[
          { label: 'Set a price', run: () => setEdited(one) },
          ...(one.own ? [{ label: 'Back to the shipped one', run: () => void remove(one) }] : []),
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
        empty={<Empty action={create} command="kvcs admin prices set MODEL --input 1.25 --output 10">No model fits. One without a price is refused.</Empty>} />
      {edited && <PriceDialog row={edited === 'new' ? null : edited} onClose={() => setEdited(null)} />}
    </Page>
  );
}
