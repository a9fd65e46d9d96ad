import type { PageProps } from '../../areas';
import { BeginIfGood } from './BeginPage';

export default function SetupPage({ query }: PageProps) {
  return <BeginIfGood way="setup" token={query.get('token') ?? ''} />;
}
