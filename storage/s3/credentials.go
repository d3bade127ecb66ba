package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/transport"
)

// newCredentials chooses where credentials come from, by what is configured:
// the variables; a profile that is named; a web identity; the default profile;
// a container's role; the instance's role. What is configured and does not
// work is an error, and never a reason to try the next one, or nobody's name.
func newCredentials(env func(string) string, shared *sharedConfig, region string, base http.RoundTripper) (*credentials.Credentials, error) {
	id, secret := env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY")
	switch {
	case id != "" && secret != "":
		return credentials.NewStaticV4(id, secret, env("AWS_SESSION_TOKEN")), nil
	case id != "":
		return nil, fmt.Errorf("%w: AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not", storage.ErrNoCredentials)
	case secret != "":
		return nil, fmt.Errorf("%w: AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not", storage.ErrNoCredentials)
	}
	if shared.explicit {
		p, err := newProfile(shared)
		if err != nil {
			return nil, err
		}
		if p == nil {
			return nil, fmt.Errorf("%w: profile %s (AWS_PROFILE) is in neither the credentials nor the config file", storage.ErrNoCredentials, shared.profile)
		}
		return p, nil
	}
	if token := env("AWS_WEB_IDENTITY_TOKEN_FILE"); token != "" {
		return newWebIdentity(env, token, region, base)
	}
	if p, err := newProfile(shared); p != nil || err != nil {
		return p, err
	}
	client := &http.Client{Transport: base, Timeout: 10 * time.Second}
	if uri, err := containerURI(env); uri != "" || err != nil {
		return credentials.New(&lasting{Provider: &containerRole{uri: uri, env: env, client: client}}), err
	}
	if strings.EqualFold(env("AWS_EC2_METADATA_DISABLED"), "true") {
		return nil, fmt.Errorf("%w: %s", storage.ErrNoCredentials, howToSet)
	}
	iam := credentials.IAM{Endpoint: env("AWS_EC2_METADATA_SERVICE_ENDPOINT"), Client: metadataClient()}
	return credentials.New(&lasting{Provider: &instanceRole{IAM: iam}}), nil
}

const howToSet = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or their _FILE twins), AWS_PROFILE, or a role"

// newProfile returns the credentials of a profile; nil where it has none.
func newProfile(shared *sharedConfig) (*credentials.Credentials, error) {
	creds, err := shared.fromCredentials()
	if err != nil {
		return nil, err
	}
	config, err := shared.fromConfig()
	if err != nil {
		return nil, err
	}
	file, has := shared.credentials, creds
	if creds == nil {
		file, has = shared.config, config
	}
	switch {
	case has == nil:
		return nil, nil
	case has["aws_access_key_id"] != "", has["sso_role_name"] != "", has["credential_process"] != "":
		return credentials.New(&credentials.FileAWSCredentials{Filename: file, Profile: shared.profile}), nil
	case has["role_arn"] != "" || config["role_arn"] != "":
		return nil, fmt.Errorf("%w: profile %s takes a role from another profile, which is not supported; use AWS_WEB_IDENTITY_TOKEN_FILE or a container's role", storage.ErrNoCredentials, shared.profile)
	case shared.explicit:
		return nil, fmt.Errorf("%w: profile %s in %s has no aws_access_key_id", storage.ErrNoCredentials, shared.profile, file)
	}
	return nil, nil
}

// newWebIdentity trades a token in a file for a role's credentials. The file
// is read again for each trade: who mounts it renews it.
func newWebIdentity(env func(string) string, token, region string, base http.RoundTripper) (*credentials.Credentials, error) {
	role := env("AWS_ROLE_ARN")
	if role == "" {
		return nil, fmt.Errorf("%w: AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not", storage.ErrNoCredentials)
	}
	iam := credentials.IAM{
		Client:   &http.Client{Transport: base, Timeout: 30 * time.Second},
		Region:   region,
		Endpoint: env("AWS_ENDPOINT_URL_STS"),
	}
	iam.EKSIdentity.TokenFile, iam.EKSIdentity.RoleARN = token, role
	iam.EKSIdentity.RoleSessionName = env("AWS_ROLE_SESSION_NAME")
	return credentials.New(&lasting{Provider: &named{Provider: &iam, source: "web identity of " + token}}), nil
}

// lasting tells a role that nobody has from one that cannot be renewed at the
// moment: in the middle of a run that is a passing trouble, tried again.
type lasting struct {
	credentials.Provider
	had bool // calls are serialised by credentials.Credentials
}

func (l *lasting) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	v, err := l.Provider.RetrieveWithCredContext(cc)
	if err == nil {
		l.had = true
	} else if l.had {
		err = errors.New("renew credentials: " + transport.Line(err.Error()))
	}
	return v, err
}

// named says which source an error comes from.
type named struct {
	credentials.Provider
	source string
}

func (n *named) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	v, err := n.Provider.RetrieveWithCredContext(cc)
	if err != nil {
		return v, fmt.Errorf("%w from the %s: %s", storage.ErrNoCredentials, n.source, transport.Line(err.Error()))
	}
	return v, nil
}

// instanceRole is the last resort; where it fails, most likely nothing at all
// was configured.
type instanceRole struct{ credentials.IAM }

func (i *instanceRole) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	v, err := i.IAM.RetrieveWithCredContext(cc)
	if err != nil {
		return v, fmt.Errorf("%w: %s (and this is no EC2 instance with a role: %s)", storage.ErrNoCredentials, howToSet, transport.Line(err.Error()))
	}
	return v, nil
}

// metadataClient never goes through a proxy, and gives up soon: off Amazon
// nobody answers at that address.
func metadataClient() *http.Client {
	return &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext, DisableKeepAlives: true},
	}
}

// containerURI is where a container's role is asked for. A full address may
// lead to this machine only, or go by TLS.
func containerURI(env func(string) string) (string, error) {
	if rel := env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); rel != "" {
		return credentials.DefaultECSRoleEndpoint + rel, nil
	}
	full := env("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if full == "" {
		return "", nil
	}
	u, err := url.Parse(full)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("%w: AWS_CONTAINER_CREDENTIALS_FULL_URI is no URL", storage.ErrNoCredentials)
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.Equal(net.ParseIP("fd00:ec2::23")))
	if u.Scheme != "https" && !local {
		return "", fmt.Errorf("%w: AWS_CONTAINER_CREDENTIALS_FULL_URI leads off this machine without TLS", storage.ErrNoCredentials)
	}
	return full, nil
}

// containerRole asks the agent that ECS or EKS runs beside a container.
type containerRole struct {
	credentials.Expiry
	uri    string
	env    func(string) string
	client *http.Client
}

func (c *containerRole) Retrieve() (credentials.Value, error) {
	return c.RetrieveWithCredContext(nil)
}

func (c *containerRole) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	ctx := context.Background()
	if cc != nil && cc.Context != nil {
		ctx = cc.Context
	}
	v, err := c.ask(ctx)
	if err != nil {
		return credentials.Value{}, fmt.Errorf("%w from the container's role: %w", storage.ErrNoCredentials, err)
	}
	c.SetExpiration(v.Expiration, credentials.DefaultExpiryWindow)
	return v, nil
}

func (c *containerRole) ask(ctx context.Context) (v credentials.Value, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.uri, nil)
	if err != nil {
		return v, err
	}
	token, err := c.token()
	if err != nil {
		return v, err
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return v, fmt.Errorf("it answered %s", resp.Status)
	}
	var answer struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		Expiration      time.Time
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&answer); err != nil {
		return v, errors.New("its answer is not what it should be")
	}
	if answer.AccessKeyID == "" || answer.SecretAccessKey == "" {
		return v, errors.New("its answer has no credentials")
	}
	return credentials.Value{
		AccessKeyID: answer.AccessKeyID, SecretAccessKey: answer.SecretAccessKey, SessionToken: answer.Token,
		Expiration: answer.Expiration, SignerType: credentials.SignatureV4,
	}, nil
}

// token is read each time, because the agent renews the file.
func (c *containerRole) token() (string, error) {
	if file := c.env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); file != "" {
		data, err := os.ReadFile(file)
		return strings.TrimSpace(string(data)), err
	}
	return c.env("AWS_CONTAINER_AUTHORIZATION_TOKEN"), nil
}
