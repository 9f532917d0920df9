package look

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
)

// featureFile is where ServerManagerCmd writes what it knows: its text form is translated, its XML is not.
const featureFile = `C:\Windows\Temp\deploy-features.xml`

var featureSelect = []string{"Name", "Installed"}

// FeatureReads are the queries of Features that can be sent ahead.
func FeatureReads(f node.Facts) []node.Query {
	if !f.Release.AtLeast(node.WS2008R2) {
		return nil
	}
	return []node.Query{featureQuery()}
}

func featureQuery() node.Query {
	return node.Cmdlet{Name: "Get-WindowsFeature", Load: "ServerManager", Select: featureSelect}
}

// FeatureCalls declares what Features asks.
func FeatureCalls() []node.Call {
	return []node.Call{
		{Tool: "ServerManagerCmd.exe", On: []node.Release{node.WS2008}, Source: "ServerManagerCmd -query, Windows Server 2008 command reference"},
		{Cmdlet: "Get-WindowsFeature", Props: featureSelect, On: From(node.WS2008R2)},
	}
}

// Features tells of every role, role service and feature that the machine knows whether it is installed, by its id in lower case.
// Windows Server 2003 has no such list.
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
	return nil, hint.Wrap(errors.New("cannot list the features: Windows Server 2003 has none"), "ask for a registry value or a file instead")
}

func serverManagerCmd(ctx context.Context, r node.Reader) (map[string]bool, error) {
	rows, err := r.Query(ctx, node.Tool{Argv: []string{"ServerManagerCmd.exe", "-query", featureFile}})
	if err != nil {
		return nil, fmt.Errorf("cannot list the features: %w", err)
	}
	if len(rows) != 1 || rows[0].Int("code") != 0 {
		err := errors.New("cannot list the features: no answer")
		if len(rows) == 1 {
			err = fmt.Errorf("cannot list the features: %w", &node.CodeError{Op: "ServerManagerCmd -query", Code: rows[0].Int("code")})
		}
		return nil, hint.Wrap(err, "code 1004 means that a wizard of Server Manager is open on the machine: close it")
	}
	f, err := r.Open(ctx, featureFile)
	if err != nil {
		return nil, fmt.Errorf("cannot read the list of features: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	return parseFeatures(f)
}

// parseFeatures reads the elements Role, RoleService and Feature, which carry Id and Installed. Other elements count for nothing.
func parseFeatures(in io.Reader) (map[string]bool, error) {
	dec := xml.NewDecoder(in)
	dec.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	out := map[string]bool{}
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the list of features: %w", err)
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		id, installed, told := "", false, false
		for _, a := range start.Attr {
			switch a.Name.Local {
			case "Id":
				id = a.Value
			case "Installed":
				installed, told = a.Value == "true" || a.Value == "1", true
			}
		}
		if id != "" && told {
			out[strings.ToLower(id)] = installed
		}
	}
	if len(out) == 0 {
		return nil, errors.New("cannot read the list of features: it names none")
	}
	return out, nil
}
