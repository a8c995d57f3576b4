#!/usr/bin/env python3
"""Holds the dashboards against Grafana's own TypeScript types (@grafana/schema), with the panels' and Prometheus' parts filled in
and no key allowed that they do not know. Needs npm, and the npm registry; check.py needs neither.

    types_check.py [VERSION…]      default: 10.4.2 and 12.0.0
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True

from generate import DASHBOARDS

VERSIONS = ["10.4.2", "12.0.0"]
TYPESCRIPT = "5.4.5"
PANELS = ["heatmap", "bargauge", "stat", "timeseries"]

# `Part`: options that Grafana fills with defaults. `Query` lists what the plugin's own type has; it is in the package up to 11 only.
BOARD = """
import {Dashboard, Panel, RowPanel, FieldConfig, VariableModel, AnnotationQuery} from './dashboard';
import {DataQuery} from './common';
type Part<T> = {[K in keyof T]?: T[K]};
type Query = DataQuery & {expr: string; legendFormat?: string; editorMode?: 'code' | 'builder'; range?: boolean; instant?: boolean;
  format?: 'time_series' | 'table' | 'heatmap'; exemplar?: boolean};
type Of<T extends string, O, C> = Omit<Panel, 'type' | 'options' | 'targets' | 'fieldConfig'> & {
  type: T; options: O; targets: Query[];
  fieldConfig: Omit<NonNullable<Panel['fieldConfig']>, 'defaults'> & {defaults: Omit<FieldConfig, 'custom'> & {custom?: C}}};
type AnyPanel = RowPanel | Of<'heatmap', heatmap.Options, heatmap.FieldConfig> | Of<'bargauge', Part<bargauge.Options>, {}>
  | Of<'stat', Part<stat.Options>, {}> | Of<'timeseries', timeseries.Options, timeseries.FieldConfig>;
type Annotation = AnnotationQuery & {expr?: string; step?: string; titleFormat?: string; textFormat?: string; tagKeys?: string;
  useValueForTime?: boolean};
type Variable = VariableModel & {definition?: string};
export type Board = Omit<Dashboard, 'panels' | 'annotations' | 'templating'> & {
  panels: AnyPanel[]; annotations: {list: Annotation[]}; templating: {list: Variable[]}};
"""

# What the types must object to: a text of a dashboard, and what it is replaced by.
FAULTS = [('"schemaVersion": 39', '"schemaVersion": "39"'), ('"drawStyle": "line"', '"drawStyle": "lines"'),
          ('"fillOpacity"', '"fillOpacty"'), ('"gridPos"', '"gridpos"'), ('"showPoints": "never"', '"showPoints": false')]


def literal(types):
    """JSON has no members of enums: here an enum is what they stand for."""
    def union(found):
        values = re.findall(r'= *("[^"]*"|[0-9]+)', found[2])
        return f"export type {found[1]} = {' | '.join(values)};"

    unions = re.sub(r"export declare enum (\w+) \{([^}]*)\}", union, types)
    # Uses of single members, in types that nothing here depends on.
    unions = re.sub(r"\b(MappingType|TableCellDisplayMode)\.\w+", "string", unions)
    return unions.replace("'@grafana/schema'", "'./common'")


def compiled(scratch, boards):
    """What the compiler says against each of the dashboards."""
    for name, text in boards.items():
        (scratch / f"{name}.ts").write_text(f"import {{Board}} from './board';\nexport const board: Board = {text};\n")
    files = [f"{name}.ts" for name in boards]
    command = ["npx", "--no-install", "tsc", "--noEmit", "--strict", "--target", "es2020", "--moduleResolution", "node", *files]
    said = subprocess.run(command, cwd=scratch, capture_output=True, text=True).stdout.splitlines()
    of_types = [line for line in said if "error" in line and line.split(".ts(")[0] not in boards]
    if of_types:
        sys.exit("the types themselves do not compile: " + "; ".join(of_types))
    return {name: [line for line in said if line.startswith(f"{name}.ts(")] for name in boards}


def install(scratch, version):
    packages = [f"@grafana/schema@{version}", f"typescript@{TYPESCRIPT}"]
    (scratch / "package.json").write_text("{}")
    npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", *packages]
    subprocess.run(npm, cwd=scratch, check=True, timeout=300)
    types = scratch / "node_modules/@grafana/schema/dist/esm"
    files = {"common": "common/common.gen.d.ts", "dashboard": "raw/dashboard/x/dashboard_types.gen.d.ts"}
    files |= {panel: f"raw/composable/{panel}/panelcfg/x/*.d.ts" for panel in PANELS}
    for name, pattern in files.items():
        (scratch / f"{name}.ts").write_text(literal(next(types.glob(pattern)).read_text()))
    imports = "".join(f"import * as {panel} from './{panel}';\n" for panel in PANELS)
    (scratch / "board.ts").write_text(imports + BOARD)


def main():
    passed, failed = 0, 0
    for version in sys.argv[1:] or VERSIONS:
        with tempfile.TemporaryDirectory() as directory:
            scratch = Path(directory)
            install(scratch, version)
            boards = {path.stem: path.read_text() for path in sorted(DASHBOARDS.glob("*.json"))}
            wrong = {}
            for i, (old, new) in enumerate(FAULTS):
                assert old in boards["targets"], old
                wrong[f"fault-{i}"] = boards["targets"].replace(old, new, 1)
            for name, faults in compiled(scratch, boards | wrong).items():
                good = bool(faults) == (name in wrong)
                passed, failed = passed + good, failed + (not good)
                if not good:
                    print(f"FAILED: {version}: {name}: {faults or 'is not noticed'}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
