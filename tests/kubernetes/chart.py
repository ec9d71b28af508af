"""Renders deploy/helm/lockgate with helm: with its values as they are, with every switch, and with values that it must refuse. It tells in
what a chart differs from what Kustomize renders. Knows nothing of what the objects must be; `run` checks that of both alike."""
import copy, json, os, re, subprocess, tempfile, tomllib

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHART = os.path.join(ROOT, 'deploy/helm/lockgate')
# Labels that only one of both has, or that name the release.
OWN = {'app.kubernetes.io/instance', 'app.kubernetes.io/part-of', 'app.kubernetes.io/version', 'app.kubernetes.io/managed-by', 'helm.sh/chart'}
ALL = {'sharedLimits': {'enabled': True}, 'sharedJournal': {'enabled': True}, 'serviceMonitor': {'enabled': True}}
# A configuration of one's own, with a port that the policy permits.
CONFIG = '[listen]\nhttp = "[::]:8080"\nadmin = "[::]:9090"\nadmin_token = "file:/run/secrets/admin/token"\ndrain_delay = "20s"\n[backends.shop]\nendpoints = ["http://shop:9000"]\n' \
         '[[routes]]\npath = "/*"\nbackend = "shop"\n'
# Each value, another one, and what it needs to count: every value must change what is rendered.
OTHER = [
    ('image.repository', 'registry.internal/gate', {}), ('image.tag', '9.9.9', {}), ('image.digest', 'sha256:' + 'a' * 64, {}), ('image.pullPolicy', 'Always', {}),
    ('imagePullSecrets', [{'name': 'registry'}], {}), ('fullnameOverride', 'gate', {}), ('config', CONFIG, {}), ('admin.secret', 'other', {}),
    ('secrets', [{'secret': 'shop-tls', 'path': 'tls'}], {}), ('sharedLimits.enabled', True, {}), ('sharedLimits.secret', 'other', ALL),
    ('sharedLimits.valkey.enabled', False, ALL), ('sharedLimits.valkey.image', 'registry.internal/valkey:9', ALL), ('sharedJournal.enabled', True, {}),
    ('sharedJournal.secret', 'other', ALL), ('sharedJournal.to', [{'ipBlock': {'cidr': '10.20.0.5/32'}}], ALL), ('sharedJournal.port', 6432, ALL),
    ('replicas', 5, {'autoscaling': {'enabled': False}}), ('autoscaling.enabled', False, {}), ('autoscaling.minReplicas', 2, {}), ('autoscaling.maxReplicas', 20, {}),
    ('autoscaling.targetCPU', 50, {}), ('podDisruptionBudget.enabled', False, {}), ('podDisruptionBudget.maxUnavailable', '25%', {}), ('service.type', 'LoadBalancer', {}),
    ('service.port', 8080, {}), ('service.annotations', {'example.com/pool': 'public'}, {}), ('networkPolicy.enabled', False, {}),
    ('networkPolicy.clients', [{'namespaceSelector': {'matchLabels': {'kubernetes.io/metadata.name': 'ingress'}}}], {}),
    ('networkPolicy.monitoring', [{'ipBlock': {'cidr': '10.30.0.0/16'}}], {}), ('networkPolicy.dns', [{'ipBlock': {'cidr': '169.254.20.10/32'}}], {}),
    ('networkPolicy.egress', [], {}), ('serviceMonitor.enabled', True, {}), ('serviceMonitor.interval', '30s', ALL), ('serviceMonitor.scrapeTimeout', '5s', ALL),
    ('serviceMonitor.labels', {'release': 'prometheus'}, ALL), ('resources', {'requests': {'cpu': '2', 'memory': '1Gi'}, 'limits': {'memory': '1Gi'}}, {}),
    ('terminationGracePeriodSeconds', 90, {}), ('podAnnotations', {'example.com/a': 'b'}, {}), ('podLabels', {'team': 'edge'}, {}), ('nodeSelector', {'pool': 'edge'}, {}),
    ('tolerations', [{'key': 'edge', 'operator': 'Exists'}], {}), ('affinity', {'nodeAffinity': {}}, {}), ('priorityClassName', 'high', {}),
]
# What is refused, and what is told.
REFUSED = {
    "additional properties 'replica' not allowed": {'replica': 3},
    "additional properties 'enable' not allowed": {'sharedLimits': {'enable': True}},
    'got string, want boolean': {'networkPolicy': {'enabled': 'no'}},
    'value must be one of': {'service': {'type': 'ExternalName'}},
    'does not match pattern': {'image': {'digest': 'sha256:short'}},
    "'not' failed": {'secrets': [{'secret': 'x', 'path': 'admin'}]},
    'needs the port 8080 for http': {'config': CONFIG.replace('8080', '8000')},
    'needs the port 9090 for admin': {'config': CONFIG.replace('9090', '9000')},
    'sharedLimits.enabled needs [redis]': {'config': CONFIG, 'sharedLimits': {'enabled': True}},
    'sharedJournal.enabled needs [journal]': {'config': CONFIG, 'sharedJournal': {'enabled': True}},
}


class Helm:
    """The program, with a folder of its own for what it keeps."""

    def __init__(self, path, folder):
        self.path, self.environment = path, {**os.environ, **{'HELM_%s_HOME' % name: folder for name in ('CACHE', 'CONFIG', 'DATA')}}

    def run(self, *words, values=None):
        with tempfile.NamedTemporaryFile('w', suffix='.yaml') as file:
            yaml.safe_dump(values or {}, file)
            return subprocess.run([self.path, *words, '--values', file.name], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment)

    def lint(self, values):
        """What is wrong with the chart, or nothing."""
        done = self.run('lint', '--strict', CHART, values=values)
        return (done.stdout + done.stderr).strip() if done.returncode else ''

    def template(self, values=None, release='lockgate', version=None):
        """The objects, or the text of an error."""
        words = ['template', release, CHART, '--namespace', 'lockgate', *(['--kube-version', version] if version else [])]
        done = self.run(*words, values=values)
        if done.returncode:
            return done.stderr
        return [found for found in yaml.safe_load_all(done.stdout) if found]


def versions():
    with open(os.path.join(CHART, 'Chart.yaml')) as file:
        about = yaml.safe_load(file)
    return about['version'], about['appVersion']


def merged(below, above):
    result = dict(below)
    for key, value in above.items():
        result[key] = merged(result[key], value) if isinstance(value, dict) and isinstance(result.get(key), dict) else value
    return result


def leaves(values, path=''):
    """The paths of all values: a mapping that is empty, or that goes to Kubernetes as it is, is one value."""
    for key, value in values.items():
        if isinstance(value, dict) and value and key != 'resources':
            yield from leaves(value, path + key + '.')
        else:
            yield path + key


def without_effect(helm):
    """Values that change nothing, or that are not tried."""
    with open(os.path.join(CHART, 'values.yaml')) as file:
        there = set(leaves(yaml.safe_load(file)))
    yield from sorted(there ^ {path for path, _, _ in OTHER})
    for path, value, needs in OTHER:
        values = value
        for key in reversed(path.split('.')):
            values = {key: values}
        changed = helm.template(merged(needs, values))
        if isinstance(changed, str) or changed == helm.template(needs):
            yield '%s%s' % (path, ': ' + changed.strip() if isinstance(changed, str) else '')


def accepted(helm):
    """What should be refused and is not, or with other words."""
    for told, values in REFUSED.items():
        found = helm.template(values)
        if not isinstance(found, str) or told not in found:
            yield '%s: %s' % (told, found if isinstance(found, str) else 'accepted')


def alike(objects):
    """The objects by kind and name, without what must differ: labels of the tools, order, and comments of the configuration."""
    def plain(value):
        if isinstance(value, dict):
            return {key: plain(found) for key, found in value.items() if key not in OWN}
        if isinstance(value, list):
            found = [plain(entry) for entry in value]
            return sorted(found, key=lambda entry: entry['name']) if all(isinstance(entry, dict) and 'name' in entry for entry in found) else found
        return value
    result = {}
    for found in copy.deepcopy(objects):
        meta = found['metadata']
        meta.pop('namespace', None)
        # What selects an object by a label of its own is the label `component`.
        labels = {key: value for key, value in meta.pop('labels', {}).items() if key == 'app.kubernetes.io/component'}
        if 'lockgate.toml' in found.get('data', {}):
            found['data']['lockgate.toml'] = tomllib.loads(found['data']['lockgate.toml'])
        result[found['kind'], meta['name']] = {**plain(found), 'labels': labels}
    return result


def differences(chart, kustomize, without=()):
    """In what the chart differs. `without` names objects that only Kustomize has."""
    one, other = alike(chart), {key: value for key, value in alike(kustomize).items() if key[0] != 'Namespace' and key[1] not in without}
    for key in sorted(one.keys() | other.keys()):
        if key not in one or key not in other:
            yield '%s %s is only in %s' % (*key, 'Kustomize' if key not in one else 'the chart')
        else:
            yield from ('%s %s: %s' % (*key, text) for text in apart(one[key], other[key]))


def apart(one, other, path=''):
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from apart(one.get(key), other.get(key), '%s.%s' % (path, key))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other)):
            yield from apart(*pair, '%s[%d]' % (path, index))
    elif one != other:
        yield '%s is %s in the chart and %s in Kustomize' % (path, json.dumps(one), json.dumps(other))


def renamed(objects, name):
    """The objects of a release with another name, as one that is named `lockgate`."""
    return [json.loads(re.sub(r'\b%s\b' % re.escape(name), 'lockgate', json.dumps(found))) for found in objects]
