// The limits of an organization, as its form changes them.
import { wholeOf, type Values } from '../../ui';

// `etag`: of what the form showed; somebody else's change since is not overwritten.
export function limitsAsk(org_id: string, etag: string, values: Values) {
  return {
    path: { org_id },
    ...(etag !== '' && { ifMatch: etag }),
    body: {
      monthly_budget_usd: values['monthly_budget_usd'] ?? '0',
      requests_per_minute: wholeOf(values['requests_per_minute'], 'requests_per_minute'),
      tokens_per_minute: wholeOf(values['tokens_per_minute'], 'tokens_per_minute'),
      failure_mode:
        values['failure_mode'] === 'fail_open' ? ('fail_open' as const) : ('fail_closed' as const),
      fallback_daily_limit: values['fallback_daily_limit'] ?? '0',
    },
  };
}
