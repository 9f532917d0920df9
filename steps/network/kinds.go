// Package network holds the kinds that set up network cards. Cards are known by their hardware
// address: names and numbers differ between machines and languages. Cards are set on Windows only;
// on Linux there are the names of /etc/hosts.
package network

import (
	"context"
	"encoding/json"
	"fmt"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
)

// Kinds lists the kinds of this family.
func Kinds() []steps.Kind {
	return []steps.Kind{
		adapterKind(),
		addressKind(),
		dnsKind(),
		netbiosKind(),
		bindingKind(),
		hostsKind(),
	}
}

const config = inspect.CIMv2 + ":Win32_NetworkAdapterConfiguration"

const proof = "unit-tested on a scripted machine; played in the lab for every release; names checked against " +
	"recorded tables"

// call calls a method of one card's configuration. It returns whether a restart is due, which is
// what return value 1 means. Source: Win32_NetworkAdapterConfiguration, method return values.
func call(ctx context.Context, n node.Node, guid, method string, args map[string]any) (reboot bool, err error) {
	rows, err := n.Do(ctx, node.WMICall{Namespace: inspect.CIMv2, Class: "Win32_NetworkAdapterConfiguration",
		Where: map[string]any{"SettingID": guid}, Method: method, Args: args})
	if err != nil {
		return false, fmt.Errorf("cannot call %s on card %s: %w", method, guid, err)
	}
	if len(rows) == 0 || !rows[0].Has("ReturnValue") {
		return false, fmt.Errorf("cannot call %s on card %s: no return value came back", method, guid)
	}
	switch code := rows[0].Int("ReturnValue"); code {
	case 0:
		return false, nil
	case 1:
		return true, nil
	default:
		err := fmt.Errorf("cannot set card %s: %w", guid, &node.CodeError{Op: "Win32_NetworkAdapterConfiguration." + method,
			Code: code})
		if h := codeHint(code); h != "" {
			err = hint.Wrap(err, h)
		}
		return false, err
	}
}

func codeHint(code int64) string {
	switch code {
	case 66, 68, 70, 71:
		return "the machine refuses an address, a mask or a gateway: check addresses and gateway of the step"
	case 84:
		return "TCP/IP is not enabled on the card: is it disabled or its cable unplugged?"
	case 91:
		return "the account may not do this: it must be an administrator"
	}
	return ""
}

// needIP refuses a card whose IP settings cannot be read or set through WMI.
func needIP(a inspect.Adapter) error {
	if a.IPEnabled {
		return nil
	}
	return hint.Wrap(fmt.Errorf("cannot tell the IP settings of card %s (%s): TCP/IP is not enabled on it", a.MAC, a.Name),
		"is the card disabled, or its cable unplugged?")
}

// cardForUndo finds the card that a step changed.
func cardForUndo(ctx context.Context, n node.Node, guid string) (inspect.Adapter, error) {
	all, err := inspect.Adapters(ctx, n)
	if err != nil {
		return inspect.Adapter{}, err
	}
	a, ok := inspect.ByGUID(all, guid)
	if !ok {
		return inspect.Adapter{}, fmt.Errorf("cannot find card %s, which the step had changed", guid)
	}
	return a, nil
}

// due makes the answer of an undo that worked: steps.ErrRebootDue when the machine asked for a
// restart.
func due(reboot bool, err error) error {
	if err == nil && reboot {
		return steps.ErrRebootDue
	}
	return err
}

func decode(before json.RawMessage, into any) error {
	if err := json.Unmarshal(before, into); err != nil {
		return fmt.Errorf("cannot read the recorded state: %w", err)
	}
	return nil
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
