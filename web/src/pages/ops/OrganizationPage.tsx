// One organization as operators see it: its use of this month, its limits, its plan, and its end.
import { useState } from 'preact/hooks';
import { api, type Schema } from '../../api/client';
import { invalidate, useAction, useQuery } from '../../api/query';
import { mayOperate, useMe } from '../../api/session';
import type { PageProps } from '../../areas';
import { href, navigate } from '../../router';
import {
  Button, Code, Confirm, Count, ErrorBox, Facts, Field, Figures, forecast, Form, Loaded, Meter, Money, Page, Section, Select, Skeleton, State, Time, toast,
} from '../../ui';
import { limitsAsk } from './limits';

const path = '/admin/organizations/{org_id}';

// What the fields show: they begin anew when that has changed, and not when something else has.
const shownLimits = (org: Schema<'Organization'>): string =>
  JSON.stringify([org.monthly_budget_usd, org.requests_per_minute, org.tokens_per_minute, org.failure_mode, org.fallback_daily_limit]);

function Limits({ org, etag, reload }: { org: Schema<'Organization'>; etag: string; reload: () => void }) {
  return (
    <Section title="Limits" note="Of all users and keys together. Left empty, there is none.">
      <Form submit="Save" onSubmit={async (values) => {
        await api.patch(path, limitsAsk(org.org_id, etag, values));
        reload();
        toast('Saved.');
      }}>
        <Field name="monthly_budget_usd" label="Budget a month, USD" inputMode="decimal" required defaultValue={org.monthly_budget_usd} />
        <Field name="requests_per_minute" label="Requests a minute" inputMode="numeric" defaultValue={org.requests_per_minute ?? ''} />
        <Field name="tokens_per_minute" label="Tokens a minute" inputMode="numeric" defaultValue={org.tokens_per_minute ?? ''} />
        <Select name="failure_mode" label="While the budget store is away" value={org.failure_mode} choices={[
          { value: 'fail_closed', label: 'refuse calls' }, { value: 'fail_open', label: 'let calls through, up to a limit a day' }]} />
        <Field name="fallback_daily_limit" label="Spent meanwhile at most, USD a day" inputMode="decimal" defaultValue={org.fallback_daily_limit} />
      </Form>
    </Section>
  );
}

function PlanPart({ id }: { id: string }) {
  const planPath = '/admin/organizations/{org_id}/plan';
  const query = useQuery(`/admin/organizations/${id}/plan`, (signal) => api.get(planPath, { path: { org_id: id }, signal }));
  const plans = useQuery('/api/v1/plans', (signal) => api.get('/api/v1/plans', { signal }));
  const give = useAction(async (plan: string | null) => {
    await api.put(planPath, { path: { org_id: id }, body: { plan } });
    invalidate(`/admin/organizations/${id}`);
    toast(plan === null ? 'What was given is taken back.' : `Plan ${plan} is given.`);
  });
  const { data } = query;
  if (!data) return <Loaded query={query} lines={2}>{() => null}</Loaded>;
  return (
    <Section title="Plan" note={data.paid_plan === null ? 'Nothing is paid for.' : `${data.paid_plan} is paid for.`}>
      {(give.error ?? plans.error) && <ErrorBox error={give.error ?? plans.error} />}
      <div class="form">
        <Select name="plan" label="Given, whatever is paid for" value={data.given_plan ?? ''} onChange={(plan) => void give.run(plan === '' ? null : plan)}
          choices={[{ value: '', label: 'none' }, ...(plans.data?.plans ?? []).map((one) => ({ value: one.name, label: one.title || one.name }))]} />
      </div>
    </Section>
  );
}

export default function OrganizationPage({ params }: PageProps) {
  const id = params['id'] ?? '';
  const me = useMe();
  const [ending, setEnding] = useState(false);
  const key = `/admin/organizations/${id}`;
  const org = useQuery(key, (signal) => api.getTagged(path, { path: { org_id: id }, signal }));
  const use = useQuery(`${key}/usage`, (signal) => api.get('/admin/organizations/{org_id}/usage', { path: { org_id: id }, signal }), { pollMs: 15_000 });
  const reload = () => invalidate(key);
  const suspend = useAction(async (stop: boolean) => {
    await (stop ? api.post('/admin/organizations/{org_id}/suspend', { path: { org_id: id } })
      : api.post('/admin/organizations/{org_id}/resume', { path: { org_id: id } }));
    reload();
    toast(stop ? 'Suspended: its keys and sessions are refused from now on.' : 'Works again.');
  });
  const back = { href: href('/ops/organizations'), label: 'Organizations' };
  if (org.error && !org.data) return <Page title="Organization" back={back}><ErrorBox error={org.error} onRetry={org.refresh} /></Page>;
  if (!org.data) return <Page title="Organization" back={back}><Skeleton lines={5} /></Page>;
  const one = org.data.data;
  const may = Boolean(me && mayOperate(me));
  const active = one.status === 'active';
  return (
    <Page title={one.name} back={back} state={<><State state={one.status} tone={active ? 'good' : 'warn'} />, made <Time at={one.created_at} /></>}
      action={may && <Button busy={suspend.busy} onClick={() => void suspend.run(active)}>{active ? 'Suspend' : 'Resume'}</Button>}>
      {suspend.error && <ErrorBox error={suspend.error} />}
      {use.error && !use.data && <ErrorBox error={use.error} onRetry={use.refresh} />}
      {use.data && (
        <Figures figures={[
          { label: `Spent in ${use.data.current_month}`, value: <Money usd={use.data.current_usage_usd} />, href: href('/ai', { org_id: id, range: 'month' }),
            note: <Meter used={use.data.current_usage_usd} allowed={use.data.monthly_budget_usd} label="Budget" text={<>of <Money usd={use.data.monthly_budget_usd} /></>} /> },
          { label: 'At the month’s end', value: <Money usd={forecast(use.data.projected_usd)} />, note: 'if it goes on like this' },
          { label: 'Under way', value: <Money usd={use.data.reserved_usd} /> },
          { label: 'Requests', value: <Count n={use.data.request_count} />, href: href('/ai/requests', { org_id: id, range: 'month' }) },
          { label: 'Failed', value: <Count n={use.data.error_count} />, href: href('/ai/requests', { org_id: id, range: 'month', outcome: 'failed' }) },
        ]} />
      )}
      <Facts facts={[
        { label: 'Id', value: <Code text={one.org_id} chars={20} /> },
        { label: 'In addresses', value: <code>{one.shown_slug ?? one.slug}</code> },
        { label: 'Tenant', value: <a href={href('/gateway/tenants', { tenant: one.slug })}>{one.slug}</a> },
      ]} />
      {may && <Limits key={shownLimits(one)} org={one} etag={org.data.etag} reload={reload} />}
      {may && <PlanPart id={id} />}
      {may && (
        <Section title="Delete" note="At once, with all that it has: artifacts, keys, users and accounts. This cannot be undone.">
          <div class="form-actions"><Button kind="danger" onClick={() => setEnding(true)}>Delete the organization</Button></div>
        </Section>
      )}
      {ending && (
        <Confirm title={`Delete ${one.name}`} typed={one.slug} action="Delete now" onClose={() => setEnding(false)} onConfirm={async () => {
          await api.delete(path, { path: { org_id: id }, query: { force: 'true' } });
          invalidate('/admin/organizations');
          navigate(href('/ops/organizations'));
          toast(`${one.name} is being deleted.`);
        }}>Everything that belongs to it goes.</Confirm>
      )}
    </Page>
  );
}
