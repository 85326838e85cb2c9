//! The file of a mirrored folder.

pub(super) fn run() {
    let seeds = [
        r#"{"namespace":"urn:a","path":"M","driver":"opcua","from":"/Machine","values":[]}"#,
        r#"{"namespace":"urn:a","path":"M","driver":"sparkplug","from":"g/n","values":[
            {"path":["a","b"],"address":"g/n:a/b","data_type":"Double","dimensions":[2,3],"unit":"bar","range":[0.0,10.5],"may_write":true},
            {"path":["s"],"address":"g/n:s","data_type":"Int32","texts":{"name":"State","values":[[0,"Off"],[1,"On"]]}}]}"#,
    ];
    let seeds = seeds.iter().map(|text| text.as_bytes().to_vec()).collect();
    opcell_fuzz::run("mirror", seeds, opcell::testing::app::fuzz_mirror);
}
