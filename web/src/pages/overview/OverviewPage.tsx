// What matters now, at a glance; every figure leads to the rows that it sums.
import { api, type Schema } from '../../api/client';
import { useQuery } from '../../api/query';
import { isOperator, mayManage, mayOperate, mayWrite, useMe } from '../../api/session';
import { partName, useHealth } from '../../frame/health';
import { href } from '../../router';
import {
  Budget,
  Bytes,
  Count,
  ErrorBox,
  type Fact,
  Figures,
  LinkButton,
  Meter,
  Money,
  Page,
  Projection,
  State,
} from '../../ui';
import { Attention } from './Attention';
import { FirstSteps } from './FirstSteps';
import { Gateways, useSummary } from './Gateways';
import { Proposals } from './Proposals';
import { Spend } from './Spend';

const pollMs = 30_000;

function Used({
  used,
  allowed,
  label,
  write,
}: {
  used: number;
  allowed: number | null;
  label: string;
  write: (n: number) => preact.ComponentChildren;
}) {
  if (allowed === null) return <>no limit</>;
  return <Meter used={used} allowed={allowed} label={label} text={<>of {write(allowed)}</>} />;
}

// What of the rows below is not as it should be: a daemon that is well may have a provider that is not.
export function illWords(providers: Pick<Schema<'ProviderSummary'>, 'provider' | 'state'>[]): string {
  return providers
    .filter((one) => one.state !== 'up')
    .map((one) => `${one.provider} is ${one.state}`)
    .join(', ');
}

function HealthWords({ providers }: { providers: Schema<'ProviderSummary'>[] }) {
  const { data, error } = useHealth();
  if (error)
    return (
      <State state="bad" tone="bad">
        The daemon does not answer; what is shown is older.
      </State>
    );
  if (!data) return null;
  const ill = Object.entries(data.services).filter(([, state]) => state !== 'up');
  if (data.mode === 'frozen')
    return <State state="frozen">The tool gateway is frozen: no call of a tool goes out. Models answer as before.</State>;
  if (ill.length > 0)
    return (
      <State state={data.status}>
        {ill.map(([name, state]) => `${partName(name)}: ${state}`).join(', ')}
      </State>
    );
  const illProviders = illWords(providers);
  if (data.status === 'healthy' && illProviders !== '')
    return <State state="degraded">The daemon works; in the last half hour {illProviders}</State>;
  return (
    <State state={data.status}>
      {data.status === 'healthy' ? 'The daemon works' : `The daemon is ${data.status}`}
    </State>
  );
}

export default function OverviewPage() {
  const me = useMe();
  const key = me?.organization_id ?? null;
  const usage = useQuery(
    key && `/api/v1/usage@${key}`,
    (signal) => api.get('/api/v1/usage', { signal }),
    { pollMs },
  );
  const health = useHealth();
  const summary = useSummary(Boolean(me && isOperator(me)));
  if (!me) return null;
  const plan = usage.data;
  const admin = isOperator(me) || mayManage(me);
  const bytes = (n: number) => <Bytes bytes={n} />;
  const count = (n: number) => <Count n={n} />;
  const figures: Fact[] =
    plan === undefined
      ? []
      : [
          {
            label: 'Artifacts',
            value: <Count n={plan.artifacts.used} />,
            href: href('/artifacts'),
            note: <Used {...plan.artifacts} label="Artifacts used of the plan" write={count} />,
          },
          {
            label: 'Storage',
            value: <Bytes bytes={plan.storage_bytes.used} />,
            href: href('/artifacts', { sort: '-size' }),
            note: <Used {...plan.storage_bytes} label="Storage used of the plan" write={bytes} />,
          },
          {
            label: 'Spent on models',
            value: <Money usd={plan.ai_usd.used} />,
            href: href('/ai'),
            note: (
              <>
                <Budget use={plan.ai_usd} operates={mayOperate(me)} />
                <Projection usd={plan.ai_usd.projected} allowed={plan.ai_usd.allowed} />
              </>
            ),
          },
          {
            label: 'Tool calls this month',
            value: <Count n={plan.gateway_calls.used} />,
            ...(admin && { href: href('/gateway') }),
            note: <Used {...plan.gateway_calls} label="Tool calls of the plan" write={count} />,
          },
        ];
  const tokens = health.data?.tokens;
  if (tokens && isOperator(me)) {
    const ill = tokens.expired + tokens.expiring_soon;
    figures.push({
      label: 'Service tokens',
      value: <Count n={tokens.total} />,
      href: href('/gateway'),
      note:
        ill > 0 ? (
          <State state="expiring">
            {tokens.expired} expired, {tokens.expiring_soon} end within 15 min and are not renewed
          </State>
        ) : (
          'none needs attention'
        ),
    });
  }
  return (
    <Page
      title="Overview"
      state={<HealthWords providers={summary.data?.providers ?? []} />}
      action={
        mayWrite(me) && (
          <LinkButton kind="primary" href={href('/artifacts')}>
            Upload an artifact
          </LinkButton>
        )
      }
    >
      {usage.error && !plan && <ErrorBox error={usage.error} onRetry={usage.refresh} />}
      {figures.length > 0 && <Figures figures={figures} />}
      {plan && (
        <FirstSteps me={me} budget={plan.ai_usd.allowed} />
      )}
      {isOperator(me) && <Proposals me={me} />}
      {admin && <Attention />}
      {isOperator(me) && <Gateways summary={summary} />}
      {admin && <Spend me={me} />}
    </Page>
  );
}
