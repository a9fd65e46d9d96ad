// What the organization may have and has, and what it pays for that.
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { api, ApiError, type Schema } from '../../api/client';
import { invalidate, useAction, usePages, useQuery } from '../../api/query';
import { isOwner, useMe } from '../../api/session';
import {
  Budget, Bytes, Button, type Column, Count, Dialog, Empty, ErrorBox, Meter, Money, Notice, Page, Pager, Section, Skeleton, State, Table, Time, toast,
} from '../../ui';
import { planAsk } from './asks';
import { formatMinor } from './format';

type Use = Schema<'PlanUse'>;
type Plan = Schema<'Plan'>;
type Subscription = Schema<'Subscription'>;
const quotaPath = '/api/v1/quota';
const subscriptionPath = '/api/v1/billing/subscription';

function Uses({ use }: { use: Use }) {
  const unlimited = <span class="muted">without a limit</span>;
  const rows: { label: string; one: Schema<'Used'> | Schema<'UsedUsd'>; show: (n: number) => ComponentChildren; href: string; text?: ComponentChildren }[] = [
    { label: 'Artifacts', one: use.artifacts, show: (n: number) => <Count n={n} />, href: '#/artifacts' },
    { label: 'Storage', one: use.storage_bytes, show: (n: number) => <Bytes bytes={n} />, href: '#/artifacts?sort=-size' },
    { label: 'Projects', one: use.projects, show: (n: number) => <Count n={n} />, href: '#/organization/projects' },
    { label: 'Members', one: use.members, show: (n: number) => <Count n={n} />, href: '#/organization' },
    {
      label: 'Spent on models this month', one: use.ai_usd, show: (n: number) => <Money usd={n} />, href: '#/ai',
      ...(use.ai_usd.allowed === 0 && { text: <Budget use={use.ai_usd} operates={false} /> }),
    },
    { label: 'Tool calls this month', one: use.gateway_calls, show: (n: number) => <Count n={n} />, href: '#/gateway' },
  ];
  return (
    <ul class="plan-uses">
      {rows.map(({ label, one, show, href, text }) => (
        <li key={label}>
          <a href={href}>{label}</a>
          <Meter used={one.used} allowed={one.allowed} label={label}
            text={text ?? <>{show(one.used)} {one.allowed === null ? unlimited : <>of {show(one.allowed)}</>}</>} />
        </li>
      ))}
    </ul>
  );
}

// Another plan: the first one is bought at Stripe's page, a change is shown with its price before it is made.
function Change({ plan, subscription, onClose }: { plan: Plan; subscription: Subscription; onClose: () => void }) {
  const { data, error, busy, refresh } = useQuery(`${subscriptionPath}#${plan.name}`, (signal) =>
    api.patch(subscriptionPath, { body: { plan: plan.name, preview: true }, reads: true, signal }));
  // What was said the last time may no longer be what is charged.
  const isFresh = data !== undefined && !busy && !error;
  const change = useAction(async () => {
    if (!data) return;
    const made = await api.patch(subscriptionPath, { body: planAsk(plan.name, data) });
    invalidate(subscriptionPath);
    invalidate(quotaPath);
    toast(made.waits_for_payment ? 'The change waits for its payment at Stripe.' : `The plan is ${plan.title} from now on.`);
    onClose();
  });
  return (
    <Dialog title={`Change to ${plan.title}`} onClose={onClose}>
      {error ? <ErrorBox error={error} onRetry={refresh} /> : !isFresh ? <Skeleton /> : (
        <p>{data.amount_due > 0
          ? <>Stripe charges <b>{formatMinor(data.amount_due, data.currency)}</b> now, for the rest of the period.</>
          : <>Nothing is charged now.</>} {subscription.plan !== null && <>The plan of now, {subscription.plan}, ends.</>}</p>
      )}
      {change.error && <ErrorBox error={change.error} />}
      <div class="form-actions">
        <Button kind="primary" disabled={!isFresh} busy={change.busy} onClick={() => void change.run()}>Change the plan</Button>
        <Button kind="quiet" onClick={onClose}>Cancel</Button>
      </div>
    </Dialog>
  );
}

function Plans({ current, subscription }: { current: string; subscription: Subscription }) {
  const [chosen, choose] = useState<Plan | null>(null);
  const plans = useQuery('/api/v1/plans#list', async (signal) => (await api.get('/api/v1/plans', { signal })).plans);
  const buy = useAction(async (plan: string) => {
    const page = await api.post('/api/v1/billing/checkout', { body: { plan } });
    location.assign(page.url);
  });
  const paid = subscription.status !== null && subscription.plan !== null;
  const limit = (n: number | null, show: (n: number) => preact.ComponentChildren) => (n === null ? 'no limit' : show(n));
  const columns: Column<Plan>[] = [
    { key: 'title', label: 'Plan', cell: (one) => <>{one.title || one.name}{one.name === current && <> <State state="current" tone="good" /></>}</> },
    { key: 'artifacts', label: 'Artifacts', align: 'right', cell: (one) => limit(one.limits.artifacts, (n) => <Count n={n} />) },
    { key: 'storage', label: 'Storage', align: 'right', cell: (one) => limit(one.limits.storage_bytes, (n) => <Bytes bytes={n} />) },
    { key: 'members', label: 'Members', align: 'right', cell: (one) => limit(one.limits.members, (n) => <Count n={n} />), narrow: 'hide' },
    { key: 'ai', label: 'AI a month', align: 'right', cell: (one) => limit(one.limits.ai_budget_usd, (n) => <Money usd={n} />), narrow: 'hide' },
    {
      key: 'choose', label: '', align: 'right', narrow: 'end',
      cell: (one) => one.name !== current && one.stripe_prices.length > 0 && (
        <Button busy={buy.busy} onClick={() => (paid ? choose(one) : void buy.run(one.name))}>{paid ? 'Change to it' : 'Choose'}</Button>
      ),
    },
  ];
  return (
    <Section title="Plans">
      {buy.error && <ErrorBox error={buy.error} />}
      <Table label="Plans" rows={plans.data} columns={columns} idOf={(one) => one.name} error={plans.error} onRetry={plans.refresh} />
      {chosen && <Change plan={chosen} subscription={subscription} onClose={() => choose(null)} />}
    </Section>
  );
}

function Invoices() {
  const pages = usePages<Schema<'Invoice'>>('/api/v1/billing/invoices', async (cursor, signal) => {
    const page = await api.get('/api/v1/billing/invoices', { query: cursor === undefined ? {} : { cursor }, signal });
    return { rows: page.invoices, next: page.cursor };
  }, { idOf: (one) => one.id });
  const columns: Column<Schema<'Invoice'>>[] = [
    { key: 'number', label: 'Number', cell: (one) => (one.url ? <a href={one.url} rel="noreferrer" target="_blank">{one.number ?? one.id}</a> : one.number ?? one.id) },
    { key: 'status', label: 'State', cell: (one) => <State state={one.status} />, narrow: 'sub' },
    { key: 'total', label: 'Total', align: 'right', cell: (one) => formatMinor(one.total, one.currency), narrow: 'side' },
    { key: 'due', label: 'Due', align: 'right', cell: (one) => formatMinor(one.amount_due - one.amount_paid, one.currency), narrow: 'hide' },
    { key: 'at', label: 'Made', align: 'right', cell: (one) => <Time at={one.created_at} />, narrow: 'end' },
    { key: 'pdf', label: '', align: 'right', cell: (one) => one.pdf && <a href={one.pdf} rel="noreferrer" target="_blank">PDF</a>, narrow: 'hide' },
  ];
  return (
    <Section title="Invoices">
      <Table label="Invoices" rows={pages.rows} columns={columns} idOf={(one) => one.id} error={pages.error} onRetry={pages.refresh}
        empty={<Empty>Stripe has made no invoice yet.</Empty>} />
      <Pager shown={pages.rows?.length ?? 0} hasMore={pages.hasMore} busy={pages.busy} onMore={pages.more} />
    </Section>
  );
}

const endedStates = ['canceled', 'incomplete_expired'];
const hasEnded = ({ status }: Subscription): boolean => status !== null && endedStates.includes(status);

// What comes next of a subscription, and what its payer has to do.
export function Standing({ data }: { data: Subscription }) {
  const end = <Time at={data.current_period_end} />;
  if (hasEnded(data)) return <>It has ended, and the default plan holds.</>;
  const pays = {
    past_due: <>The last payment failed. Pay it at Stripe, or the plan ends. </>,
    unpaid: <>It is not paid, and the default plan holds until it is. Pay it at Stripe. </>,
    incomplete: <>Its first payment is missing, and the default plan holds. Pay it at Stripe. </>,
    paused: <>It is paused at Stripe, and the default plan holds. </>,
  }[data.status ?? ''];
  if (data.cancels) return <>{pays}It ends {end}; then the default plan holds, and what there is stays readable.</>;
  return pays ?? <>The period ends {end} and begins anew.</>;
}

function Paid({ current }: { current: string }) {
  const { data, error, refresh } = useQuery(subscriptionPath, (signal) => api.get(subscriptionPath, { signal }));
  const portal = useAction(async () => location.assign((await api.post('/api/v1/billing/portal')).url));
  const cancel = useAction(async (cancels: boolean) => {
    await (cancels ? api.post('/api/v1/billing/cancel') : api.delete('/api/v1/billing/cancel'));
    invalidate(subscriptionPath);
    toast(cancels ? 'The subscription ends with its period; nothing is deleted.' : 'The subscription goes on.');
  });
  if (error instanceof ApiError && error.status === 501) {
    return <Notice>This appliance has no payments: an operator gives plans. Nothing is charged here.</Notice>;
  }
  if (error) return <ErrorBox error={error} onRetry={refresh} />;
  if (!data) return <Skeleton />;
  return (
    <>
      {data.status !== null && (
        <Section title="Subscription" action={<Button busy={portal.busy} onClick={() => void portal.run()}>Cards and tax at Stripe</Button>}>
          <p><State state={data.status} /> <Standing data={data} /></p>
          {(portal.error ?? cancel.error) && <ErrorBox error={portal.error ?? cancel.error} />}
          {!hasEnded(data) && (
            <div class="form-actions">
              <Button busy={cancel.busy} onClick={() => void cancel.run(!data.cancels)}>
                {data.cancels ? 'Keep the subscription' : 'End it with the period'}</Button>
            </div>
          )}
        </Section>
      )}
      <Plans current={current} subscription={data} />
      <Invoices />
    </>
  );
}

export default function BillingPage() {
  const me = useMe();
  const { data, error, refresh } = useQuery(quotaPath, (signal) => api.get(quotaPath, { signal }), { pollMs: 60_000 });
  const use = data?.plan;
  return (
    <Page title="Plan and billing" state={use && <>The plan is {use.plan}; counts of the month are those of {use.month}, in UTC</>}>
      {error && <ErrorBox error={error} onRetry={refresh} />}
      {!data && !error && <Skeleton lines={6} />}
      {data && !use && <Notice tone="warn">No organization is active, so that there is no plan to show.</Notice>}
      {use && <Uses use={use} />}
      {me && isOwner(me) && use && <Paid current={use.plan} />}
      {me && !isOwner(me) && <p class="muted">Owners see the subscription and its invoices.</p>}
    </Page>
  );
}
