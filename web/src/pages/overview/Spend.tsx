// Spend, requests and failures by day: of the whole daemon for operators, else of the organization.
import { api } from '../../api/client';
import { useQuery } from '../../api/query';
import { isOperator, type Me } from '../../api/session';
import { href } from '../../router';
import {
  Chart,
  Count,
  counted,
  DateRange,
  daysOf,
  ErrorBox,
  Money,
  Section,
  Skeleton,
  useRange,
} from '../../ui';
import { requestSeries, stackedSpend } from '../ai/usage';

export function Spend({ me }: { me: Me }) {
  const range = useRange('30d');
  const { from, to } = range;
  const report = useQuery(
    `/admin/usage?group_by=day&split_by=model&from=${from}&to=${to}`,
    (signal) =>
      api.get('/admin/usage', {
        query: { group_by: 'day', split_by: 'model', from, to },
        signal,
      }),
    { pollMs: 60_000 },
  );
  const days = daysOf(range);
  const times = days.map((day) => Date.parse(day) / 1000);
  const rows = report.data?.usage ?? [];
  const budget = report.data?.budget;
  const sum = (of: (row: (typeof rows)[number]) => number) =>
    rows.reduce((all, row) => all + of(row), 0);
  return (
    <Section
      title="AI by day"
      action={<DateRange fallback="30d" />}
      note={
        report.data && (
          <>
            {isOperator(me) && 'All organizations: '}
            <a href={href('/ai', { from, to })}>
              <Money usd={sum((row) => row.cost_usd)} />
            </a>{' '}
            for{' '}
            <a href={href('/ai/requests', { from, to })}>
              {counted(
                sum((row) => row.requests),
                'request',
              )}
            </a>
            , of which <Count n={sum((row) => row.failures)} /> failed. Days are of UTC.
          </>
        )
      }
    >
      {report.error && !report.data && <ErrorBox error={report.error} onRetry={report.refresh} />}
      {!report.data && !report.error && <Skeleton lines={5} />}
      {report.data && (
        <div class="charts">
          <Chart
            title="Spend by day and model"
            kind="bars"
            unit="usd"
            times={times}
            sync="overview"
            series={stackedSpend(rows, days, 'model')}
            line={
              budget
                ? { value: budget.daily_usd, label: 'Budget over the days of the month' }
                : undefined
            }
          />
          <Chart
            title="Requests by day"
            kind="bars"
            unit="count"
            times={times}
            sync="overview"
            series={requestSeries(rows, days)}
          />
        </div>
      )}
    </Section>
  );
}
