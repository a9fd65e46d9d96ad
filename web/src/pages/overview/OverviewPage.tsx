// What matters now, at a glance.
import { api } from '../../api/client';
import { useQuery } from '../../api/query';
import { Bytes, Count, Figures, Page } from '../../ui';

export default function OverviewPage() {
  const quota = useQuery('/api/v1/quota', (signal) => api.get('/api/v1/quota', { signal }), { pollMs: 30_000 });
  return (
    <Page title="Overview">
      <Figures figures={[
        { label: 'Artifacts', value: <Count n={quota.data?.used.artifacts} />, href: '#/artifacts' },
        { label: 'Storage', value: <Bytes bytes={quota.data?.used.storage_bytes} />, href: '#/artifacts?sort=size' },
      ]} />
    </Page>
  );
}
