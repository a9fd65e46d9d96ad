import { render } from 'preact';
import { StatusPage } from './pages/ops/StatusPage';
import './style/tokens.css';
import './style/base.css';
import './style/components.css';

const root = document.getElementById('app');
if (root) render(<StatusPage />, root);
