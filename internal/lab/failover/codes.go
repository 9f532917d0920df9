package failover

import (
	"errors"
	"fmt"

	"deploy/internal/lab/machine"
)

// Code is a Win32 error of the cluster API. Source: system error codes 0-1999 and 4000-5999 of the
// win32 documentation.
type Code int

// The codes that this package answers with.
const (
	FileNotFound         Code = 2
	AccessDenied         Code = 5
	NotSupported         Code = 50
	DuplicateName        Code = 52
	BadNetPath           Code = 53
	InvalidParameter     Code = 87
	DirNotEmpty          Code = 145
	CircularDependency   Code = 1059
	NoSuchService        Code = 1060
	BadComputerName      Code = 1210
	LogonFailure         Code = 1326
	RPCUnavailable       Code = 1722
	NoEndpoint           Code = 1753
	DependentExists      Code = 5001
	DependencyNotFound   Code = 5002
	DependencyExists     Code = 5003
	ResourceNotOnline    Code = 5004
	HostNotAvailable     Code = 5005
	ResourceNotFound     Code = 5007
	ObjectExists         Code = 5010
	GroupNotFound        Code = 5013
	NotGroupOwner        Code = 5016
	ResourceOnline       Code = 5019
	QuorumResource       Code = 5020
	NotQuorumCapable     Code = 5021
	InvalidState         Code = 5023
	PropertiesStored     Code = 5024
	NotQuorumClass       Code = 5025
	CoreResource         Code = 5026
	ResourceFailed       Code = 5038
	NodeNotFound         Code = 5042
	NetworkExists        Code = 5044
	NetworkNotFound      Code = 5045
	InterfaceNotFound    Code = 5047
	InvalidRequest       Code = 5048
	NodeDown             Code = 5050
	AddressInUse         Code = 5057
	NodeNotPaused        Code = 5058
	NodeAlreadyUp        Code = 5061
	NodeAlreadyDown      Code = 5062
	AlreadyMember        Code = 5065
	LastInternalNetwork  Code = 5066
	NetworkHasDependents Code = 5067
	InvalidOnQuorum      Code = 5068
	DependencyNotAllowed Code = 5069
	NodePaused           Code = 5070
	NodeCannotHost       Code = 5071
	TypeNotFound         Code = 5078
	PropertyReadOnly     Code = 5089
	NoNetworkForAddress  Code = 5894
	PropertyTypeMismatch Code = 5895
	EvictedUncleaned     Code = 5896
	CannotBeClustered    Code = 5898
	DuplicateCluster     Code = 5900
)

// Error gives the code and an English sentence.
func (c Code) Error() string { return fmt.Sprintf("win32 error %d: %s", int(c), sentences["en"][c]) }

// CodeOf returns the Win32 code in an error: 0 for nil, 5038 for an error without one, as a
// resource that fails for its own reasons.
func CodeOf(err error) Code {
	var c Code
	var f *machine.Fail
	switch {
	case err == nil:
		return 0
	case errors.As(err, &c):
		return c
	case errors.As(err, &f):
		return Code(f.Code & 0xffff)
	}
	return ResourceFailed
}

// texts are the messages of the cluster's own codes in the order of machine.Locales. They are ours:
// nothing may decide on them.
func texts() map[int][4]string {
	out := map[int][4]string{}
	for c, en := range sentences["en"] {
		if c >= 5001 {
			out[int(c)] = [4]string{en, sentences["fr"][c], sentences["de"][c], sentences["ja"][c]}
		}
	}
	return out
}

var sentences = map[string]map[Code]string{
	"en": {
		FileNotFound: "The file was not found.", AccessDenied: "Access is denied.",
		NotSupported:  "The request is not supported.",
		DuplicateName: "The name is in use on the network.", BadNetPath: "The network path was not found.",
		InvalidParameter: "A parameter is not correct.", DirNotEmpty: "The object is not empty.",
		CircularDependency: "The dependency would be circular.", NoSuchService: "The service is not installed.",
		BadComputerName: "The computer name is not valid.", LogonFailure: "The user name or password is wrong.",
		RPCUnavailable: "The RPC server is not available.", NoEndpoint: "The endpoint mapper has no more endpoints.",
		DependentExists: "Other resources depend on this resource.", DependencyNotFound: "The dependency was not found.",
		DependencyExists: "The dependency exists already.", ResourceNotOnline: "The resource is not online.",
		HostNotAvailable: "No node is available for this operation.", ResourceNotFound: "The resource was not found.",
		ObjectExists: "The object exists already.", GroupNotFound: "The group was not found.",
		NotGroupOwner:  "The node does not own the group.",
		ResourceOnline: "The resource is online.", QuorumResource: "The quorum resource cannot be deleted.",
		NotQuorumCapable: "The resource cannot be a quorum resource.",
		InvalidState:     "The object is in the wrong state for this.",
		PropertiesStored: "The properties are stored and take effect when the resource comes online again.",
		NotQuorumClass:   "The quorum resource has to be shared storage.", CoreResource: "A core resource cannot be deleted.",
		ResourceFailed: "The resource failed.", NodeNotFound: "The cluster node was not found.",
		NetworkExists:   "The network exists already.",
		NetworkNotFound: "The cluster network was not found.", InterfaceNotFound: "The network interface was not found.",
		InvalidRequest: "The request is not valid for this object.", NodeDown: "The cluster node is down.",
		AddressInUse: "The IP address is in use.", NodeNotPaused: "The node is not paused.",
		NodeAlreadyUp:   "The node is up already.",
		NodeAlreadyDown: "The node is down already.", AlreadyMember: "The node is a member of the cluster already.",
		LastInternalNetwork:  "It is the only network for the nodes' own traffic.",
		NetworkHasDependents: "Resources use this network.",
		InvalidOnQuorum:      "This cannot be done to the quorum resource.",
		DependencyNotAllowed: "The quorum resource may not depend on others.",
		NodePaused:           "The node is paused.", NodeCannotHost: "The node cannot host the resource.",
		TypeNotFound:     "The resource type was not found.",
		PropertyReadOnly: "The property cannot be changed.", NoNetworkForAddress: "No cluster network fits the address.",
		PropertyTypeMismatch: "The property has another data type.",
		EvictedUncleaned:     "The node was evicted but not cleaned up.",
		CannotBeClustered:    "The computer cannot become a node of this cluster.",
		DuplicateCluster:     "The cluster name is in use.",
	},
	"fr": {
		AccessDenied: "L'accès est refusé.", InvalidParameter: "Un paramètre est incorrect.",
		RPCUnavailable: "Le serveur RPC n'est pas disponible.",
		NoEndpoint:     "Le mappeur n'a plus de point de terminaison.", ResourceNotFound: "La ressource est introuvable.",
		GroupNotFound: "Le groupe est introuvable.", NodeNotFound: "Le nœud est introuvable.",
		ObjectExists:     "L'objet existe déjà.",
		AlreadyMember:    "Le nœud est déjà membre du cluster.",
		PropertiesStored: "Les propriétés sont enregistrées et prendront effet à la prochaine mise en ligne.",
	},
	"de": {
		AccessDenied: "Zugriff verweigert.", InvalidParameter: "Ein Parameter ist falsch.",
		RPCUnavailable: "Der RPC-Server ist nicht erreichbar.",
		NoEndpoint:     "Es gibt keine weiteren Endpunkte.", ResourceNotFound: "Die Ressource wurde nicht gefunden.",
		GroupNotFound: "Die Gruppe wurde nicht gefunden.", NodeNotFound: "Der Knoten wurde nicht gefunden.",
		ObjectExists:     "Das Objekt gibt es schon.",
		AlreadyMember:    "Der Knoten ist schon Mitglied des Clusters.",
		PropertiesStored: "Die Eigenschaften sind gespeichert und gelten, sobald die Ressource wieder online geht.",
	},
	"ja": {
		AccessDenied: "アクセスできません。", InvalidParameter: "パラメーターが違います。", RPCUnavailable: "RPC サーバーを使えません。",
		NoEndpoint: "エンドポイントがありません。", ResourceNotFound: "リソースがありません。",
		GroupNotFound: "グループがありません。", NodeNotFound: "ノードがありません。", ObjectExists: "オブジェクトは既にあります。",
		AlreadyMember:    "ノードは既にクラスターのメンバーです。",
		PropertiesStored: "プロパティは保存され、次にオンラインになるとき有効になります。",
	},
}
