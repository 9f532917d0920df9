package inspect

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
)

var featureSelect = []string{"Name", "Installed"}

// FeatureReads are the queries of Features.
func FeatureReads(f node.Facts) []node.Query {
	switch {
	case f.Release.AtLeast(node.WS2008R2):
		return []node.Query{featureQuery()}
	case f.Release == node.WS2008:
		return []node.Query{serverManagerQuery()}
	}
	return nil
}

func serverManagerQuery() node.Query {
	return node.Tool{Argv: []string{"ServerManagerCmd.exe", "-query"}}
}

func featureQuery() node.Query {
	return node.Cmdlet{Name: "Get-WindowsFeature", Load: "ServerManager", Select: featureSelect}
}

// FeatureCalls declares what Features asks.
func FeatureCalls() []node.Call {
	return []node.Call{
		{Tool: "ServerManagerCmd.exe", On: []node.Release{node.WS2008},
			Source: "ServerManagerCmd -query, Windows Server 2008 command reference"},
		{Cmdlet: "Get-WindowsFeature", Props: featureSelect, On: From(node.WS2008R2)},
	}
}

// Features tells of every role, role service and feature that the machine knows whether it is
// installed, by its id in lower case. Windows Server 2003 has no such list.
func Features(ctx context.Context, r node.Reader) (map[string]bool, error) {
	release := r.Facts().Release
	switch {
	case release.AtLeast(node.WS2008R2):
		rows, err := r.Query(ctx, featureQuery())
		if err != nil {
			return nil, fmt.Errorf("cannot list the features: %w", err)
		}
		out := map[string]bool{}
		for _, row := range rows {
			out[strings.ToLower(row.String("Name"))] = row.Bool("Installed")
		}
		return out, nil
	case release == node.WS2008:
		return serverManagerCmd(ctx, r)
	}
	return nil, hint.Wrap(errors.New("cannot list the features: Windows Server 2003 has none"),
		"ask for a registry value or a file instead")
}

// featureLine finds "[X] Display name [Id]" wherever lines are broken. The mark and the id are the
// same in every language; the display name between them is not, and is not looked at.
var featureLine = regexp.MustCompile(`\[([Xx ])\][^\[\]]*\[([A-Za-z0-9._-]+)\]`)

// serverManagerCmd reads the printed list. ServerManagerCmd could write XML instead, but only into
// a file, and a look must not leave anything behind.
func serverManagerCmd(ctx context.Context, r node.Reader) (map[string]bool, error) {
	rows, err := r.Query(ctx, serverManagerQuery())
	if err != nil {
		return nil, fmt.Errorf("cannot list the features: %w", err)
	}
	if len(rows) != 1 || rows[0].Int("code") != 0 {
		err := errors.New("cannot list the features: no answer")
		if len(rows) == 1 {
			err = fmt.Errorf("cannot list the features: %w",
				&node.CodeError{Op: "ServerManagerCmd -query", Code: rows[0].Int("code")})
		}
		return nil, hint.Wrap(err, "code 1004 means that a wizard of Server Manager is open on the machine: close it")
	}
	out := map[string]bool{}
	for _, m := range featureLine.FindAllStringSubmatch(string(rows[0].Bytes("stdout")), -1) {
		out[strings.ToLower(m[2])] = m[1] != " "
	}
	if len(out) == 0 {
		return nil, errors.New("cannot list the features: the list that ServerManagerCmd printed names none")
	}
	return out, nil
}
