use serde_json::json;

use super::*;

fn run(kind: ConnectorType, data: Value) -> Result<Checked, Vec<String>> {
    let Value::Object(data) = data else {
        panic!("object")
    };
    check(kind, &data, false, &|| "stk_1".to_owned())
        .map_err(|problems| problems.into_iter().map(|problem| problem.field).collect())
}

#[test]
fn secrets_are_taken_out_of_what_is_stored_in_the_clear() {
    let checked = run(
        ConnectorType::Oauth,
        json!({"clientId": "c", "clientSecret": "s"}),
    )
    .ok()
    .unwrap();
    assert_eq!(Value::Object(checked.public), json!({"clientId": "c"}));
    let secrets: Vec<_> = checked
        .secrets
        .iter()
        .map(|(name, secret)| (name.as_str(), secret.expose()))
        .collect();
    assert_eq!(secrets, [("clientSecret", "s")]);

    let checked = run(
        ConnectorType::ApiKey,
        json!({"values": [{"value": "k", "scope": "read"}]}),
    )
    .ok()
    .unwrap();
    assert_eq!(
        Value::Object(checked.public),
        json!({"values": [{"scope": "read", "id": "stk_1"}]})
    );
    assert_eq!(checked.secrets[0].0, "stk_1");
    assert_eq!(checked.secrets[0].1.expose(), "k");
}

#[test]
fn each_wrong_field_is_named() {
    let long = "x".repeat(9000);
    let cases = [
        (ConnectorType::Oauth, json!({}), vec!["data.clientId"]),
        (
            ConnectorType::Oauth,
            json!({"clientId": 7, "bogus": 1}),
            vec!["data.bogus", "data.clientId"],
        ),
        (
            ConnectorType::Oauth,
            json!({"clientId": "c", "clientSecret": long}),
            vec!["data.clientSecret"],
        ),
        (
            ConnectorType::Oauth,
            json!({"clientId": "c", "jwtBearer": {"enabled": "yes", "alg": "none"}, "forwardedClaims": {"idToken": "email"}}),
            vec![
                "data.jwtBearer.alg",
                "data.jwtBearer.enabled",
                "data.forwardedClaims.idToken",
            ],
        ),
        (
            ConnectorType::Oauth,
            json!({"clientId": "c\u{0}"}),
            vec!["data.clientId"],
        ),
        (
            ConnectorType::Oauth,
            json!({"clientId": "c", "serverUrl": "ftp://x"}),
            vec!["data.serverUrl"],
        ),
        (
            ConnectorType::Oauth,
            json!({"clientId": "c", "serverUrl": "https://u@x"}),
            vec!["data.serverUrl"],
        ),
        (
            ConnectorType::Oauth,
            json!({"clientId": "c", "codeChallengeMethod": "plain"}),
            vec!["data.codeChallengeMethod"],
        ),
        (
            ConnectorType::Oauth,
            json!({"clientId": "c", "userAuthorization": {}}),
            vec!["data.userAuthorization.enabled"],
        ),
        (
            ConnectorType::Oauth,
            json!({"clientId": "c", "userAuthorization": {"enabled": 1}}),
            vec!["data.userAuthorization.enabled"],
        ),
        (
            ConnectorType::Oauth,
            json!({"clientId": "c", "defaultTokenExpiresIn": 59}),
            vec!["data.defaultTokenExpiresIn"],
        ),
        (
            ConnectorType::Oauth,
            json!({"clientId": "c", "authorizationUrlParams": {"a": 1}}),
            vec!["data.authorizationUrlParams.a"],
        ),
        (ConnectorType::ApiKey, json!({}), vec!["data.values"]),
        (
            ConnectorType::ApiKey,
            json!({"values": []}),
            vec!["data.values"],
        ),
        (
            ConnectorType::ApiKey,
            json!({"values": [{}]}),
            vec!["data.values[0].value"],
        ),
        (
            ConnectorType::ApiKey,
            json!({"values": "k"}),
            vec!["data.values"],
        ),
    ];
    for (kind, data, expected) in cases {
        assert_eq!(run(kind, data.clone()).err().unwrap(), expected, "{data}");
    }
}

#[test]
fn only_an_oauth_client_may_lack_anything() {
    let run = |kind, data: Value| {
        let data = data.as_object().unwrap();
        let checked = check(kind, data, true, &|| "stk_1".to_owned());
        let problems = checked.err().unwrap_or_default();
        problems.into_iter().map(|problem| problem.field).next()
    };
    for (kind, data, lacks) in [
        (ConnectorType::Oauth, json!({}), None),
        (
            ConnectorType::Oauth,
            json!({"search": {"description": "d"}}),
            Some("data.search.url"),
        ),
        (
            ConnectorType::Oauth,
            json!({"userAuthorization": {}}),
            Some("data.userAuthorization.enabled"),
        ),
        (ConnectorType::ApiKey, json!({}), Some("data.values")),
        (
            ConnectorType::ApiKey,
            json!({"values": [{"value": ""}]}),
            Some("data.values[0].value"),
        ),
        (
            ConnectorType::Custom,
            json!({"search": {"url": ""}}),
            Some("data.search.url"),
        ),
    ] {
        assert_eq!(run(kind, data.clone()).as_deref(), lacks, "{data}");
    }
}

#[test]
fn an_empty_string_is_absence() {
    let checked = run(
        ConnectorType::Oauth,
        json!({"clientId": "c", "clientSecret": "", "serverUrl": ""}),
    )
    .ok()
    .unwrap();
    assert_eq!(Value::Object(checked.public), json!({"clientId": "c"}));
    assert!(checked.secrets.is_empty());
}

/// A good `data` of each type, with every field that it has.
fn whole(kind: ConnectorType) -> Value {
    let mut whole = own(kind);
    whole["search"] = json!({"url": "https://s.example/q", "description": "d\nd", "excludes": ["a"], "active": true,
        "continueOnFailure": false, "scheme": "basic"});
    whole["extras"] = json!({"a": [1]});
    whole
}

/// The same without what all types have.
fn own(kind: ConnectorType) -> Value {
    const PEM: &str = include_str!("../../../../vault/testdata/keys/rsa-pkcs8.pem");
    match kind {
        ConnectorType::ApiKey => {
            json!({"subjectType": "app", "values": [{"value": "k", "scope": "read", "expiresAt": 7}],
            "serviceUrls": ["https://api.example"], "instructions": "Paste\nit"})
        }
        ConnectorType::AwsAlpha => json!({"roleArn": "arn:aws:iam::123456789012:role/x",
            "region": "eu-central-1", "audience": "sts.amazonaws.com"}),
        ConnectorType::Discord => {
            json!({"applicationId": "1", "applicationName": "n", "publicKey": "ab",
            "botToken": "b", "clientSecret": "s", "userScopes": ["identify"], "serverConfig": {}})
        }
        ConnectorType::Github => json!({"appId": 7, "appSlug": "my-app", "appName": "My App",
            "clientId": "Iv1.a", "clientSecret": "s", "privateKeyPem": PEM, "webhookSecret": "w",
            "owner": {"type": "Organization", "id": 9, "slug": "acme", "name": "Acme"}, "serverConfig": {}}),
        ConnectorType::Linear => {
            json!({"clientId": "c", "clientSecret": "s", "appId": "a", "appName": "n",
            "webhookSecret": "w", "appScopes": ["read"], "userScopes": ["write"],
            "ownerOrganization": {"id": "o", "slug": "acme", "name": "Acme", "logoUrl": "https://x.example/l.png"},
            "application": {"id": "a"}, "serverConfig": {}})
        }
        ConnectorType::Linq => {
            json!({"apiToken": "t", "phoneNumbers": ["+14155550100"]})
        }
        ConnectorType::MicrosoftEntra => json!({"clientId": "c", "clientSecret": "s",
            "tenantId": "contoso.example", "appName": "n", "appScopes": ["https://graph.microsoft.com/.default"],
            "userScopes": ["User.Read"], "serverConfig": {}}),
        ConnectorType::MicrosoftTeams => {
            json!({"appId": "c", "clientSecret": "s", "tenantId": "botframework.com",
            "appName": "n", "appScopes": [], "userScopes": ["User.Read"], "serverConfig": {}})
        }
        ConnectorType::Custom | ConnectorType::Oauth => {
            json!({"clientId": "c", "clientSecret": "s", "serverUrl": "https://as.example",
            "serverConfig": {}, "variables": {"shop": "x"}, "clientName": "n", "responseType": "code",
            "tokenEndpointAuthMethod": "none", "pkceRequired": true, "codeChallengeMethod": "S256",
            "userAuthorization": {"enabled": true, "scopes": ["a"], "tenantClaim": "org"}, "refreshTokens": {"enabled": true},
            "clientCredentials": {"enabled": false, "scopes": ["a"]}, "defaultAudience": "a", "defaultTokenExpiresIn": 60,
            "authorizationUrlParams": {"a": "b"}, "clientRegistration": "dynamic",
            "clientAssertion": {"type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "ttl": 60,
                "claims": {"a": "b"}},
            "jwtBearer": {"enabled": true, "scopes": ["a"], "sub": "s", "iss": "i", "aud": "a", "ttl": 60,
                "additionalClaims": {"a": "b"}, "useClientCredentials": true},
            "forwardedClaims": {"idToken": ["email"]},
            "installation": {"enabled": true, "url": "https://x.example/install", "scopes": ["a"], "params": {"a": "b"},
                "id": "team.id", "tenant": "team", "name": "team.name"}})
        }
        ConnectorType::Photon => {
            json!({"projectId": "p", "projectSecret": "s", "webhookSecret": "w"})
        }
        ConnectorType::Salesforce => json!({"consumerKey": "c", "consumerSecret": "s",
            "loginHost": "test.salesforce.com", "userScopes": ["api"], "username": "u@x.example",
            "privateKeyPem": PEM, "jwtBearer": {"enabled": true}, "clientCredentials": {"enabled": true, "scopes": ["api"]}, "defaultTokenExpiresIn": 60,
            "serverConfig": {}}),
        ConnectorType::Sendblue => json!({"apiKeyId": "i", "apiSecretKey": "s",
            "phoneNumbers": ["+14155550100", "+4930123456"]}),
        ConnectorType::Slack => {
            json!({"appId": "A1", "appName": "n", "clientId": "1.2", "clientSecret": "s",
            "signingSecret": "g", "verificationToken": "v", "slackTeam": {"id": "T1", "name": "Acme", "domain": "acme"},
            "botScopes": ["chat:write"], "userScopes": ["search:read"],
            "slashCommands": [{"command": "/x", "description": "d", "usageHint": "h", "shouldEscape": true}],
            "shortcuts": [{"type": "global", "name": "n", "callbackId": "c", "description": "d"}],
            "tokenRotationEnabled": true, "orgDeployEnabled": false, "serverConfig": {}})
        }
        ConnectorType::Snowflake => json!({"accountIdentifier": "acme-prod", "clientName": "n",
            "defaultSessionRole": "ANALYST", "clientId": "c", "clientSecret": "s", "userScopes": ["refresh_token"],
            "user": "SVC", "privateKeyPem": PEM, "serverConfig": {}}),
        ConnectorType::SnowflakeWif => json!({"clientName": "n", "accountIdentifier": "acme-prod",
            "defaultSessionRole": "ANALYST", "audience": "snowflakecomputing.com"}),
    }
}

/// One more than a list may have.
fn many(item: Value) -> Value {
    vec![item; 257].into()
}

/// `value` has every one of `rows`, and so have the objects in it.
fn complete(path: &str, rows: &[Field], value: &Value) {
    for row in rows {
        let path = format!("{path}.{}", row.name);
        let Some(given) = value.get(row.name) else {
            panic!("{path} is not in what should be whole");
        };
        match &row.shape {
            Shape::Object(rows) => complete(&path, rows, given),
            Shape::Objects(rows, _) => complete(&path, rows, &given[0]),
            Shape::Values => complete(&path, VALUE, &given[0]),
            _ => {}
        }
    }
}

/// What is no value of this shape.
fn wrong(shape: &Shape) -> Vec<Value> {
    let long = |max: &usize| Value::from("x".repeat(max + 1));
    match shape {
        Shape::Text(max) | Shape::Secret(max) => {
            vec![json!(7), json!("a\u{0}b"), json!("a\nb"), long(max)]
        }
        Shape::Markdown(max) => vec![json!(7), json!("a\u{0}b"), long(max)],
        Shape::Pem(_) => vec![
            json!(7),
            json!("secret"),
            json!("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"),
            json!(include_str!("../../../../vault/testdata/keys/ec-pkcs8.pem")),
            long(&(16 * 1024)),
        ],
        Shape::Formed(form) => {
            let texts = ["../x", "A", "a b", "-a", "a--b", "a/b", "a%2fb", "a\n"].map(Value::from);
            texts
                .into_iter()
                .chain([json!(7), long(&form.max)])
                .collect()
        }
        Shape::Phones => [
            "4155550100",
            "+0155550100",
            "+1415555010x",
            "+1415555010012345",
            "+1",
        ]
        .into_iter()
        .map(|number| json!([number]))
        .chain([
            json!("+14155550100"),
            json!([7]),
            many(json!("+14155550100")),
        ])
        .collect(),
        Shape::Url | Shape::BareUrl => [
            "x",
            "ftp://x",
            "https://u@x",
            "javascript:alert(1)",
            "https://x/\r\nHost: y",
            " https://x",
        ]
        .map(Value::from)
        .into_iter()
        .chain([format!("https://x/{}", "x".repeat(2048)).into()])
        .collect(),
        Shape::Urls => vec![
            json!("https://x"),
            json!(["ftp://x"]),
            json!(["https://x/\n"]),
            many(json!("https://x")),
        ],
        Shape::Bool => vec![json!("true"), json!(1)],
        Shape::Integer(min) => vec![json!(min - 1), json!("7"), json!(1.5), json!(u64::MAX)],
        Shape::OneOf(_) => vec![json!("other"), json!(7)],
        Shape::Object(_) => vec![json!("x"), json!([])],
        Shape::Free | Shape::ServerConfig => {
            vec![json!("x"), json!([]), json!({"x": "x".repeat(64 * 1024)})]
        }
        Shape::Objects(_, max) => vec![json!({}), json!(["x"]), json!(vec![json!({}); max + 1])],
        Shape::Texts(max) => vec![
            json!("a"),
            json!([7]),
            json!([long(max)]),
            json!(["a\u{7}"]),
            many(json!("a")),
        ],
        Shape::TextMap(max) => vec![
            json!({"a": 1}),
            json!({"a": long(max)}),
            json!({long(max).as_str().unwrap(): "a"}),
            json!({"a\nb": "a"}),
            (0..257)
                .map(|n| (n.to_string(), json!("a")))
                .collect::<Map<_, _>>()
                .into(),
            json!([]),
        ],
        Shape::Values => vec![
            json!("k"),
            json!([{"value": 7}]),
            json!(vec![json!({"value": "k"}); 101]),
        ],
    }
}

#[test]
fn every_type_takes_all_its_fields_and_keeps_its_secrets_apart() {
    for kind in ConnectorType::ALL {
        let whole = whole(*kind);
        complete(kind.as_str(), rows(*kind), &whole);
        let checked =
            run(*kind, whole.clone()).unwrap_or_else(|wrong| panic!("{kind:?}: {wrong:?}"));
        let public = Value::Object(checked.public).to_string();
        for row in rows(*kind) {
            let secret = matches!(row.shape, Shape::Secret(_) | Shape::Pem(_));
            let given = whole.get(row.name).is_some();
            assert!(
                !(secret && public.contains(&format!("\"{}\"", row.name))),
                "{kind:?} {}",
                row.name
            );
            let kept = checked.secrets.iter().any(|(name, _)| name == row.name);
            assert_eq!(kept, secret && given, "{kind:?} {}", row.name);
        }
    }
}

#[test]
fn every_field_of_every_type_is_named_when_it_is_missing_or_wrong() {
    let mut tried = 0;
    for kind in ConnectorType::ALL {
        for row in rows(*kind) {
            let path = format!("data.{}", row.name);
            let named = |data: Value| match run(*kind, data.clone()) {
                Ok(_) => panic!("{kind:?} {path}: {data} was taken"),
                Err(named) => named,
            };
            let mut data = whole(*kind);
            if row.required {
                data.as_object_mut().unwrap().remove(row.name);
                assert_eq!(named(data.clone()), std::slice::from_ref(&path), "{kind:?}");
                data[row.name] = json!("");
                assert_eq!(named(data.clone()), std::slice::from_ref(&path), "{kind:?}");
            }
            for wrong in wrong(&row.shape) {
                data[row.name] = wrong;
                for named in named(data.clone()) {
                    assert!(named.starts_with(&path), "{kind:?} {path}: {named}");
                }
                tried += 1;
            }
        }
        let mut data = whole(*kind);
        data["constructor"] = json!({"prototype": 1});
        assert_eq!(
            run(*kind, data).err().unwrap(),
            ["data.constructor"],
            "{kind:?}"
        );
    }
    assert!(tried > 500, "{tried}");
}

#[test]
fn an_aws_role_and_its_region_are_what_aws_writes() {
    const IN: &str = "arn:aws:iam::123456789012:role/";
    let (longest, too_long) = (
        IN.to_owned() + &"x".repeat(64),
        IN.to_owned() + &"x".repeat(65),
    );
    let long_path = IN.to_owned() + &"p/".repeat(1024) + "x";
    let roles = [
        ("arn:aws:iam::123456789012:role/x", true),
        ("arn:aws:iam::123456789012:role/team/ci/deploy_+=,.@-", true),
        ("arn:aws-us-gov:iam::123456789012:role/x", true),
        (&longest, true),
        (&too_long, false),
        (&long_path, false),
        (IN, false),
        ("arn:aws:iam::123456789012:role/a b", false),
        ("arn:aws:iam::123456789012:role/x\n", false),
        ("arn:aws:iam::123456789012:role/x/", false),
        ("arn:aws:iam::1:role/x", false),
        ("arn:aws:iam::123456789012:user/x", false),
        ("arn:aws:sts::123456789012:role/x", false),
        ("123456789012", false),
    ];
    let regions = [
        ("eu-central-1", true),
        ("us-gov-west-1", true),
        ("eusc-de-east-1", true),
        ("eu-central", false),
        ("EU-CENTRAL-1", false),
        ("eu-central-1.evil.example", false),
        ("frankfurt", false),
    ];
    let roles = roles.map(|(text, taken)| ("roleArn", text, taken));
    let regions = regions.map(|(text, taken)| ("region", text, taken));
    for (field, text, taken) in roles.into_iter().chain(regions) {
        let named = run(ConnectorType::AwsAlpha, json!({ field: text })).err();
        let expected = (!taken).then(|| vec![format!("data.{field}")]);
        assert_eq!(named, expected, "{text:?}");
    }
}

#[test]
fn a_custom_connector_is_an_oauth_client_with_a_client_id_or_nothing() {
    let custom = ConnectorType::Custom;
    assert!(run(custom, json!({})).is_ok());
    let named = run(custom, json!({"clientSecret": "s", "pkceRequired": true}))
        .err()
        .unwrap();
    assert_eq!(named, ["data.clientId"]);
}

#[test]
fn a_private_key_may_come_on_one_line() {
    let mut data = whole(ConnectorType::Github);
    let joined = data["privateKeyPem"].as_str().unwrap().replace('\n', "\\n");
    data["privateKeyPem"] = joined.into();
    let checked = run(ConnectorType::Github, data).ok().unwrap();
    let pem = checked
        .secrets
        .iter()
        .find(|(name, _)| name == "privateKeyPem")
        .unwrap();
    assert_eq!(
        pem.1.expose(),
        include_str!("../../../../vault/testdata/keys/rsa-pkcs8.pem")
    );
}
