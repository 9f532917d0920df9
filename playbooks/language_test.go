package playbooks_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"deploy/internal/yamlx"
	"deploy/inventory"
	"deploy/playbooks"
	"deploy/steps"
)

const languageSite = `site: lang
playbook: x
credentials:
  admin: {username: a, password: {env: X}}
inventory:
  nodes:
    - {name: n1, transport: local, roles: [cluster, active], parameters: {cards: [a, b]}}
    - {name: n2, transport: local, roles: [cluster, passive], parameters: {cards: [c]}}
    - {name: n3, transport: local, roles: [cluster, passive]}
parameters:
  name: clu
  disks:
    - {serial: S1, size: 5, owner: n2}
    - {serial: S2, owner: n1}
`

const languageHead = `playbook: lang
parameters:
  name: {type: string, required: true}
  note: string
  limit: integer
  ratio: {type: number, default: 0.5}
  proof: {type: object, fields: {moves: {type: boolean, default: true}, share: path}}
  share: {type: object, fields: {path: {type: path, required: true}}}
  labels: {type: map, of: string}
  networks: {type: list, of: cidr, default: [10.0.0.1/24, 10.0.1.0/25]}
  disks:
    type: list
    of: {type: object, fields: {serial: {type: string, required: true}, size: {type: integer, default: 1}, owner: node}}
node_parameters:
  cards: {type: list, of: string}
roles: {cluster: {}, active: {}, passive: {}, spare: {}}
`

func compileText(t *testing.T, site, playbook string) (*steps.Program, []playbooks.Finding, error) {
	t.Helper()
	s, err := inventory.Parse("site.yaml", []byte(site))
	if err != nil {
		t.Fatal(err)
	}
	pb, err := playbooks.Parse("pb.yaml", []byte(playbook))
	if err != nil {
		return nil, nil, err
	}
	return pb.Compile(s, testRegistry())
}

func onePhase(body string) string {
	return languageHead + "phases:\n  - id: p\n    steps:\n" + body
}

// TestExpressions: what an expression gives, as text joined into a step's data.
func TestExpressions(t *testing.T) {
	for in, want := range map[string]string{
		"parameters.name":                                             "clu",
		"parameters.name + '-' + site":                                "clu-lang",
		"string(1 + 2) + 'x'":                                         "3x",
		"string(parameters.ratio * 2)":                                "1",
		"string(len(role.cluster))":                                   "3",
		"string(len(role.spare))":                                     "0",
		"first(role.passive).name":                                    "n2",
		"last(role.passive).name":                                     "n3",
		"first(role.spare)?.name ?? 'none'":                           "none",
		"join(map(rest(role.cluster), .name), ',')":                   "n2,n3",
		"string(len(rest(role.spare)))":                               "0",
		"node('n3').address":                                          "n3",
		"string(node('nope') == nil)":                                 "true",
		"join(map(filter(nodes, 'passive' in .roles), .name), '')":    "n2n3",
		"join(unique(['a', 'B', 'b', 'a']), '')":                      "aB",
		"join(map(concat(role.passive, role.active), .name), ' ')":    "n2 n3 n1",
		"string(even(2)) + string(odd(2))":                            "truefalse",
		"cidr_address('10.0.0.7/24')":                                 "10.0.0.7",
		"cidr_network('10.0.0.7/24')":                                 "10.0.0.0",
		"cidr_mask('10.0.0.7/24')":                                    "255.255.255.0",
		"cidr_mask('10.0.0.7/0')":                                     "0.0.0.0",
		"cidr_mask('10.0.0.7/31')":                                    "255.255.255.254",
		"string(cidr_prefix('10.0.0.7/24'))":                          "24",
		"join(keys({z: 1, b: 2, y: 3, a: 4, x: 5}), ',')":             "a,b,x,y,z",
		"join(map(values({z: 1, b: 2, y: 3, a: 4}), string(#)), ',')": "4,2,3,1",
		"cidr_broadcast('10.0.0.7/25')":                               "10.0.0.127",
		"nearest('mbx20', ['mbx02', 'dc01'])":                         "mbx02",
		"'none: ' + nearest('x', ['mbx02'])":                          "none: ",
		"string(cidr_contains('10.0.0.0/24', '10.0.0.9'))":            "true",
		"string(cidr_contains('10.0.0.0/24', '10.0.1.9'))":            "false",
		"string(cidr_overlaps('10.0.0.9/24', '10.0.0.128/25'))":       "true",
		"string(cidr_overlaps('10.0.0.0/25', '10.0.0.128/25'))":       "false",
		"join(map(parameters.networks, cidr_network(#)), ' ')":        "10.0.0.0 10.0.1.0",
		"replace(parameters.name, 'c', 'g')":                          "glu",
		"parameters.note ?? 'no note'":                                "no note",
		"string(parameters.note == nil)":                              "true",
		"string(parameters.limit == nil or parameters.limit > 3)":     "true",
		"string(parameters.proof.moves)":                              "true",
		"string(parameters.proof.share == nil)":                       "true",
		"string(parameters.share == nil)":                             "true",
		"parameters.share?.path ?? '-'":                               "-",
		"string(len(parameters.labels))":                              "0",
		"parameters.labels.x ?? '-'":                                  "-",
		"string(sum(map(parameters.disks, .size)))":                   "6",
		"find(parameters.disks, .owner == 'n1').serial":               "S2",
		"string(all(nodes, len(.parameters.cards) < 3))":              "true",
		"{'a': {'b': 'deep'}}.a.b":                                    "deep",
		"'}} ' + \"{{\"":                                              "}} {{",
		"true ? 'yes' : 'no'":                                         "yes",
		"let x = parameters.name; x + x":                              "cluclu",
		"node.name":                                                   "n1",
	} {
		prog, _, err := compileText(t, languageSite, onePhase("      - {id: s, uses: test.note, on: role.active, with: "+
			"{text: "+yamlQuote("${{ "+in+" }}")+"}}\n"))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := prog.Tasks()[0].Step.(*note).Text; got != want {
			t.Errorf("%s: %q, not %q", in, got, want)
		}
	}
}

// TestExpressionMistakes: mistakes that are found when the playbook is read, before there is a
// site.
func TestExpressionMistakes(t *testing.T) {
	for in, want := range map[string]string{
		"first(role.active).adress":              `unknown name "adress"`,
		"node('n1').adress":                      `unknown name "adress"`,
		"map(parameters.disks, .siez)":           `unknown name "siez"`,
		"rest(parameters.disks)[0].siez":         `unknown name "siez"`,
		"find(parameters.disks, .size > 1).nmae": `unknown name "nmae"`,
		"parameters.proof.movse":                 `unknown name "movse"`,
		"node.parameters.crads":                  `unknown name "crads"`,
		"role.clusters":                          `unknown name "clusters"`,
		"parameters.name + 1":                    "mismatched types string and int",
		"parameters.limit > 'a'":                 "mismatched types int and string",
		"even('a')":                              "cannot use string",
		"even()":                                 "not enough arguments",
		"now()":                                  `unknown name "now"`,
		"reduce([1], #acc)":                      `unknown name "reduce"`,
		"toJSON(1)":                              `unknown name "toJSON"`,
		"__tick(__budget)":                       `unknown name "__`,
		"$env":                                   `unknown name "$env"`,
		"item":                                   `unknown name "item"`,
		"":                                       "empty expression",
		"'a' matches '['":                        "error parsing regexp",
		strings.Repeat("1+", 3000) + "1":         "an expression of",
		strings.Repeat("1+", 1000) + "1":         "exceeds maximum allowed nodes",
	} {
		_, err := playbooks.Parse("pb.yaml",
			[]byte(onePhase("      - {id: s, uses: test.note, on: role.active, with: {text: "+yamlQuote("${{ "+in+" }}")+
				"}}\n")))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, wanted %q", in, err, want)
			continue
		}
		for _, e := range yamlx.All(err) {
			if e.Hint == "" || e.Line == 0 {
				t.Errorf("%.40s: no hint or place: %v", in, e)
			}
		}
	}
}

// TestRunawayExpressions: each ends as an error, and soon.
func TestRunawayExpressions(t *testing.T) {
	for _, in := range []string{
		"1..100000000",
		"map(1..40000, #)",
		"count(1..900, count(1..900, # > 0) > 0)",
		"all(1..400, all(1..400, all(1..400, true)))",
		"let a = join(map(1..1000, 'xxxxxxxxxx'), 'xxxxxxxxxx'); let b = join(map(1..100, a), a); b",
		"let a = 'xxxxxxxxxx' + parameters.name; " + doubling(30) + "z",
		"let a = replace('aaaaaaaaaa', 'a', 'aaaaaaaaaa'); let b = replace(a, 'a', a); let c = replace(b, 'a', b); c",
		"let a = 1..1000; let b = concat(a,a,a,a,a,a,a,a,a,a); let c = concat(b,b,b,b,b,b); c",
	} {
		_, _, err := compileText(t, languageSite, onePhase("      - {id: s, uses: test.note, on: role.active, with: "+
			"{extra: {a: "+yamlQuote("${{ "+in+" }}")+"}}}\n"))
		if err == nil || !strings.Contains(err.Error(), "too expensive") {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// doubling makes a text twice as long n times.
func doubling(n int) string {
	var b strings.Builder
	from := "a"
	for i := range n {
		to := fmt.Sprintf("a%d", i)
		if i == n-1 {
			to = "z"
		}
		fmt.Fprintf(&b, "let %s = %s + %s; ", to, from, from)
		from = to
	}
	return b.String()
}

// TestTasks: which tasks a step gives, in which order.
func TestTasks(t *testing.T) {
	for name, c := range map[string]struct {
		step string
		want []string
	}{
		"node":          {"on: node('n2')", []string{"p/s@n2"}},
		"braces":        {"on: '${{ role.passive }}'", []string{"p/s@n2", "p/s@n3"}},
		"order of list": {"on: concat(role.passive, role.active)", []string{"p/s@n2", "p/s@n3", "p/s@n1"}},
		"once each":     {"on: concat(role.passive, role.cluster)", []string{"p/s@n2", "p/s@n3", "p/s@n1"}},
		"by name":       {"on: map(parameters.disks, .owner)", []string{"p/s@n2", "p/s@n1"}},
		"nobody":        {"on: role.spare", nil},
		"first of none": {"on: first(role.spare)", nil},
		"if":            {"on: nodes\n        if: node.name != 'n2'", []string{"p/s@n1", "p/s@n3"}},
		"if false":      {"on: nodes\n        if: false", nil},
		"if true":       {"on: node('n1')\n        if: true", []string{"p/s@n1"}},
		"each": {"on: role.passive\n        each: parameters.disks\n        key: '${{ item.serial }}'",
			[]string{"p/s[S1]@n2", "p/s[S2]@n2", "p/s[S1]@n3", "p/s[S2]@n3"}},
		"each list": {"on: role.active\n        each: [x, '${{ parameters.name }}', 3]",
			[]string{"p/s[x]@n1", "p/s[clu]@n1", "p/s[3]@n1"}},
		"on of item": {"on: node(item.owner)\n        each: parameters.disks\n        key: '${{ item.serial }}'",
			[]string{"p/s[S1]@n2", "p/s[S2]@n1"}},
		"on is item": {"on: item.owner\n        each: parameters.disks\n        key: '${{ index }}'",
			[]string{"p/s[0]@n2", "p/s[1]@n1"}},
		"each of node": {"on: nodes\n        each: node.parameters.cards", []string{"p/s[a]@n1", "p/s[b]@n1", "p/s[c]@n2"}},
		"if of item": {"on: role.active\n        each: parameters.disks\n        key: '${{ item.serial }}'\n        " +
			"if: item.size > 1", []string{"p/s[S1]@n1"}},
		"key with both": {"on: role.active\n        each: parameters.disks\n        key: '${{ item.serial }}-${{ " +
			"node.name }}'", []string{"p/s[S1-n1]@n1", "p/s[S2-n1]@n1"}},
		"each of nobody": {"on: role.active\n        each: parameters.labels.x ?? []", nil},
	} {
		prog, findings, err := compileText(t, languageSite,
			onePhase("      - id: s\n        uses: test.note\n        with: {text: x}\n        "+c.step+"\n"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, task := range prog.Tasks() {
			got = append(got, task.ID)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: (-want +got)\n%s", name, d)
		}
		// an unconditional step that runs nowhere is worth a word
		if silent := name == "nobody" || name == "first of none"; silent != (len(findings) > 0) {
			t.Errorf("%s: findings %v", name, findings)
		}
	}
}

func TestValuesOfWith(t *testing.T) {
	prog, _, err := compileText(t, languageSite, onePhase(`      - id: s
        uses: test.note
        on: role.active
        timeout: 90s
        with:
          text: "$${{ stays, ${{ parameters.name }} and ${{ len(nodes) }}"
          count: ${{ parameters.ratio * 4 }}
          loud: ${{ len(nodes) > 2 }}
          mood: ${{ parameters.note }}
          tags: ['${{ node.name }}', '${{ parameters.note }}', x]
          extra: '${{ {"a": parameters.name} }}'
          parts:
            - {name: a, size: "${{ int('7') }}"}
            - name: b
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &note{Text: "${{ stays, clu and 3", Count: 2, Loud: true, Tags: []string{"n1", "x"},
		Extra: map[string]string{"a": "clu"},
		Parts: []part{{"a", 7}, {"b", 0}}}
	if d := cmp.Diff(want, prog.Tasks()[0].Step); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if got := prog.Tasks()[0].Timeout.String(); got != "1m30s" {
		t.Errorf("timeout %s", got)
	}
}

func TestPhaseOrder(t *testing.T) {
	step := "\n    steps: [{id: a, uses: test.note, on: node('n1'), with: {text: x}}]\n"
	prog, _, err := compileText(t, languageSite,
		languageHead+"phases:\n  - id: z\n    needs: [m]"+step+"  - id: b"+step+"  - id: m\n    on-failure: rollback"+step+
			"  - id: a\n    needs: [z, b]"+step)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range prog.Phases {
		got = append(got, p.ID)
	}
	if d := cmp.Diff([]string{"b", "m", "z", "a"}, got); d != "" {
		t.Error(d)
	}
	if prog.Phases[1].OnFailure != steps.RollBack || prog.Phases[0].OnFailure != steps.Stop {
		t.Error("policies are mixed up")
	}
	if d := cmp.Diff([]string{"n1"}, prog.Nodes); d != "" {
		t.Error(d)
	}
}

// TestPlacesInBlocks: mistakes within block texts and quoted texts are found in their line and
// column.
func TestPlacesInBlocks(t *testing.T) {
	for text, want := range map[string]string{
		"text: |\n            hello\n            you ${{ nope }} there\n":      "26:21",
		"text: 'it''s ${{ nope }}'\n":                                          "24:28",
		"text: \"a ${{ nope }}\"\n":                                            "24:24",
		"text: a ${{ nope }}\n":                                                "24:23",
		"text: >\n            hello\n            you ${{ nope }}\n":            "24:17",
		"text: \"tab\\t ${{ nope }}\"\n":                                       "24:17",
		"text: x\n          tags:\n            - y\n            - ${{ nope }}": "27:19",
	} {
		_, err := playbooks.Parse("pb.yaml", []byte(onePhase("      - id: s\n        uses: test.note\n        on: nodes\n "+
			"       with:\n          "+text)))
		all := yamlx.All(err)
		if len(all) != 1 {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := fmt.Sprintf("%d:%d", all[0].Line, all[0].Col); got != want {
			t.Errorf("%q: at %s, not %s", text, got, want)
		}
	}
}
